# isolation.level = "auto", for images: script/server takes the best level that can be had, and says
# which and why in its output, in the log, and in the capabilities.
use strict;
use warnings;
use Cellblock;
use Container;
use Test::More;

my $container = Container->new;
my ($c, @auto) = ('cellblock.conf', [ 'cellblock.conf', qr/level = "(?:namespaces|chroot)"/, 'level = "auto"' ]);

sub is_level {
    my ($cb, $level, $note) = @_;
    my $capabilities = $cb->get('/v1/sandbox/capabilities')->{data};
    is $capabilities->{level}, $level, "the level is $level";
    like $capabilities->{level_note}, $note, 'the capabilities say why';
    like $cb->log_text, qr/warning: level $level: $note/, '... and the log';
    like $cb->{said}, qr/isolation\.level is "$level", $note/, '... and script/server';
    is $cb->run(code => 'print(1)')->{data}{isolation}, $level, '... and each reply has the level';
    return;
}

subtest 'where all can be had' => sub {
    my $cb = Cellblock->start(own => 1, conf => [@auto]);
    is_level($cb, 'namespaces', qr/chosen by .auto./);
    $cb->finish;
};

subtest 'in a plain container' => sub {
    my $cb = $container->service(@auto, [$c, qr/mode = "none"/, 'mode = "proxy"'], [$c, qr/#proxies = \(/, "proxies = ({ name = \"all\"; address = \"127.0.0.1:9\"; });\n#("]);
    is_level($cb, 'chroot', qr/chosen by .auto.; level .namespaces. isolates more, and cannot be had here: user_namespace.*What would give it: .*seccomp profile/);
    $cb->finish;
};

subtest 'a level that is required is not changed' => sub {
    my ($exit, $out, $err) = Cellblock::command([$container->plain, Cellblock::root() . '/script/server', '--detach', '--prefix', Cellblock::prefix(), '--dir', "$container->{dir}/none",
        '--port', $container->{lock}->free_port, '--tls-port', 'none'], seconds => 120);
    is $exit, 1, 'no start';
    like "$out$err", qr/level chroot: can be had|could not start here/, 'it says what there is';
};

done_testing;
