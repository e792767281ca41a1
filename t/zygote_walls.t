# The layers around a zygote itself. It is root of the runner's user namespace and runs no client's
# code. Its layers limit an attacker who has taken it over: the filter denies calls for which the
# zygote has every right, and Landlock denies signals. A zygote can become another user, without the
# mark too: its guests have this filter, and may set the ids that they have.
use strict;
use warnings;
use Cellblock qw(command eventually prefix skip_all slurp spew);
use JSON::PP ();
use Test::More;

skip_all('needs root') if $> != 0;

# A driver carries these out behind its walls, just before it serves. Each result is 0, for success,
# or an errno.
my $attacks = <<'PYTHON';
import ctypes, errno, json
libc = ctypes.CDLL(None, use_errno=True)
def attempt(call, *args):
    ctypes.set_errno(0)
    return 0 if getattr(libc, call)(*args) >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
got = {
    "signal the broker": attempt("kill", 1, 0),
    "mount": attempt("mount", b"x", b"/tmp", b"tmpfs", 0, None),
    "unmount": attempt("umount2", b"/box", 2),
    "new mount namespace": attempt("unshare", 0x20000),
    "new user namespace": attempt("unshare", 0x10000000),
    "chroot": attempt("chroot", b"/tmp"),
    "rename the host": attempt("sethostname", b"x", 1),
    "read a limit of the broker": attempt("prlimit", 1, 7, None, ctypes.create_string_buffer(16)),
    "limit the broker": attempt("prlimit", 1, 7, ctypes.create_string_buffer(16), None),
    "get capabilities back": attempt("prctl", 47, 2, 21, 0, 0),
    "trace the broker": attempt("ptrace", 16, 1, 0, 0),
    "open a socket": attempt("socket", 2, 1, 0),
    "open a socket of netlink": attempt("socket", 16, 3, 0),
    "its own work": attempt("getpid"),
}
os.write(kept_stderr, f"zygote: {json.dumps(got)}\n".encode())
os.close(kept_stderr)
PYTHON

# The results, with changes of the configuration. The changed driver serves all the same.
sub attempts {
    my (@changes) = @_;
    my $drivers = File::Temp::tempdir('cellblock-drivers-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $drivers;
    command(['cp', '-R', prefix() . '/lib/cellblock/.', $drivers]);
    my $driver = "$drivers/python3/driver.py";
    spew($driver, "import os\nkept_stderr = os.dup(2)\n" . slurp($driver) . "\n$attacks");
    my $cb = Cellblock->start(own => 1, conf => \@changes);
    my $conf = slurp("$cb->{dir}/live/conf/cellblock.conf");
    $conf =~ s{^#?drivers = .*}{drivers = "$drivers";}m or die 'no drivers';
    spew("$cb->{dir}/live/conf/cellblock.conf", $conf);
    kill 'KILL', $cb->pids('runner parent'), $cb->pids('runner'), $cb->pids('worker parent'), $cb->pids('worker');
    my $got;
    ok eventually(20, sub { ($got) = (slurp("$cb->{dir}/log/runner.log") // '') =~ /^zygote: (\{.*\})$/m }), 'a zygote has made its attempts';
    ok eventually(20, sub { ($cb->run(code => 'print("out")')->{data}{stdout} // '') eq "out\n" }), 'and it serves';
    # The status process has read the old configuration. It answers 503 until its successor serves.
    my $layers;
    ok eventually(20, sub { $layers = ($cb->get('/v1/sandbox/capabilities')->{data} // {})->{layers} }), 'its layers are told';
    my $detail = $layers->{landlock}{detail} // '';
    $cb->finish;
    return ($detail, JSON::PP->new->decode($got));
}

my %mine = map { $_ => 1 } ('signal the broker', 'its own work');
{
    my ($detail, $got) = attempts();
    is $got->{'its own work'}, 0, 'an allowed call succeeds';
    is join(', ', grep { !$mine{$_} && $got->{$_} !~ /\A(?:EPERM|ENOSYS|EAFNOSUPPORT)\z/ } sort keys %$got), '', 'its filter denies all the others'
        or diag(JSON::PP->new->canonical->encode($got));
  SKIP: {
        my $why = Cellblock::missing("the kernel does not report namespaces, or has no scopes: $detail", $detail =~ /signals.*around zygotes, too/);
        skip $why, 1 if $why;
        is $got->{'signal the broker'}, 'EPERM', 'Landlock: the runner cannot be signalled';
    }
}
{
    my ($detail, $got) = attempts(['cellblock.conf', qr/^(\s*)#?landlock = "required";/m, '    landlock = "off";']);
    like $detail, qr/off|ABI 0/, 'without Landlock';
    is $got->{'signal the broker'}, 0, 'the broker can be signalled: Landlock alone denied it';
}
done_testing;
