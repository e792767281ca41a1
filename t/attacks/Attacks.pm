# Attacks.pm - reads attack cases and carries them out against a service at a URL.
#
#   my $attacks = Attacks->new(url => $url, key => $key, other_key => $key, host => sub { list of complaints }, slow => 1);
#   for my $case ($attacks->cases) { my $result = $attacks->carry_out($case); ... }
#   $result: {name, skip, todo, assertions => [[is_good, name, explanation], ...]}
#
# The cases are in cases/; README describes their format. Core modules only.
package Attacks;
use strict;
use warnings;

use File::Basename qw(basename dirname);
use HTTP::Tiny;
use JSON::PP ();
use List::Util qw(max min);
use Test::More ();
use Time::HiRes qw(time sleep);

my $here = dirname(__FILE__);
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my %known = map { $_ => 1 } qw(language request status stdout stderr error never seconds http verdicts todo times copies next program perl raw machine needs);

# A harmless program of each language. It also looks for files that an earlier run may have left.
my %benign = (
    python3 => <<'PYTHON',
import os
left = [f for d in (".", "/tmp", "/dev/shm") for f in os.listdir(d) if f not in ("main.py", "home", "tmp")]
print(sum(range(1000)), left, os.getpid() < 100)
PYTHON
    nodejs => <<'JAVASCRIPT',
const left = [".", "/tmp", "/dev/shm"].flatMap(d => require("fs").readdirSync(d)).filter(f => !["main.js", "home", "tmp"].includes(f));
console.log([...Array(1000).keys()].reduce((a, b) => a + b), JSON.stringify(left), process.pid < 100 ? "True" : "False");
JAVASCRIPT
    bash => <<'BASH',
for ((i = 0; i < 1000; i++)); do ((sum += i)); done
shopt -s nullglob dotglob
left=(*[!h] /tmp/* /dev/shm/*)
echo "$sum [${left[*]}] $([[ $$ -lt 100 ]] && echo True)"
BASH
    c => <<'C',
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
	static const char *const places[] = { ".", "/tmp", "/dev/shm" };
	int sum = 0;
	for (int i = 0; i < 1000; i++)
		sum += i;
	printf("%d [", sum);
	for (int i = 0; i < 3; i++) {
		DIR *d = opendir(places[i]);
		for (struct dirent *e; d && (e = readdir(d));)
			if (e->d_name[0] != '.' && strcmp(e->d_name, "main.c") && strcmp(e->d_name, "home") && strcmp(e->d_name, "tmp"))
				printf("%s ", e->d_name);
	}
	puts(getpid() < 100 ? "] True" : "] False");
}
C
);
my $benign_prints = '\A499500 \[\] True\n\z';
my $benign_prints_among_others = '\A499500 \[\] (?:True|False)?\n\z'; # without a pid namespace its pid may be any number

sub slurp {
    my ($path) = @_;
    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}

# --- reading the cases -------------------------------------------------------------------------------------------------

# The cases of a file: "=== name", lines "key: value", then "--- code" (or before, beside) and a
# program.
sub read_cases {
    my ($path) = @_;
    my (@cases, $case, $part);
    my $theme = basename($path) =~ s/\.cases\z//r;
    my $number = 0;
    for my $line (split /^/, slurp($path)) {
        $number++;
        if ($line =~ /\A=== (.+)\n/) {
            push @cases, $case = { name => "$theme: $1", theme => $theme, seconds => 10, times => 1, never => 'escaped' };
            undef $part;
        }
        elsif (!$case) { next } # the explanation at the top
        elsif ($line =~ /\A--- (code|before|beside)\n/) { $part = $1; $case->{$part} = '' }
        elsif ($part) { $case->{$part} .= $line }
        elsif ($line =~ /\A(\w+): +(.+)\n/ && $known{$1}) {
            $case->{$1} = $1 eq 'never' ? "escaped|$2" : $2;
        }
        elsif ($line =~ /\S/) { die "$path:$number: cannot parse \"$line\"\n" }
    }
    return @cases;
}

# A line of a table: "name | arguments of programs/syscall.c | expected result | needed layer".
sub read_calls {
    my ($path) = @_;
    my @cases;
    for my $line (grep { /\S/ && !/\A#/ } split /\n/, slurp($path)) {
        my ($name, $arguments, $fate, $needs) = split /\s+\|\s+/, $line, 4;
        my %case = (name => "calls: $name", theme => 'calls', language => 'c', program => 'syscall.c', seconds => 10, times => 1,
            never => 'escaped|returned', machine => 'x86_64', request => $json->encode({ args => [split ' ', $arguments] }), status => 'ok|denied');
        $case{needs} = $needs if $needs;
        if (($fate // '') eq 'killed') { $case{status} = 'signal|denied'; $case{error} = 'bad system call|SIGSYS|not permitted' }
        elsif (($fate // '') =~ /\Areturned/) { $case{never} = 'escaped'; $case{stdout} = "\\A$fate\n\\z" }
        elsif (($fate // '') eq 'refused or killed') { $case{status} = 'ok|denied|signal'; $case{stdout} = '\A(?:-1 (?:EPERM|ENOSYS)\n)?\z' }
        else { $case{stdout} = '\A-1 (?:' . ($fate // 'EPERM|ENOSYS') . ')\n\z' }
        push @cases, \%case;
    }
    return @cases;
}

sub cases {
    my ($self, $only) = @_;
    my @cases = ((map { read_cases($_) } sort glob "$here/cases/*.cases"), (map { read_calls($_) } sort glob "$here/cases/*.calls"));
    my %seen;
    $seen{ $_->{name} }++ and die "two cases \"$_->{name}\"\n" for @cases;
    @cases = grep { $_->{name} =~ $only || $_->{language} =~ $only } @cases if defined $only;
    return @cases;
}

# --- talking to the service -----------------------------------------------------------------------------------------------

sub new {
    my ($class, %option) = @_;
    my $self = bless { slow => 1, %option }, $class;
    $self->{url} =~ s{/\z}{};
    $self->{http} = HTTP::Tiny->new(timeout => 150 * $self->{slow}, verify_SSL => 0);
    my $list = $self->request(GET => '/v1/sandbox/languages');
    if ($list->{data}) {
        for my $language (@{ $list->{data}{languages} }) {
            $self->{missing}{$language->{name}} = $language->{available} ? '' : $language->{reason} || 'not available';
        }
    }
    else { # a service without such a list: try each language
        for my $language (keys %benign) {
            my $r = $self->run($language, $benign{$language});
            $self->{missing}{$language} = $r->{data} ? '' : 'not available';
        }
    }
    my $capabilities = $self->request(GET => '/v1/sandbox/capabilities');
    $self->{layers} = ref $capabilities->{data} ? $capabilities->{data}{layers} || {} : {};
    my $pids = $self->{layers}{pid_namespace};
    $self->{benign_prints} = $pids && !$pids->{in_force} ? $benign_prints_among_others : $benign_prints;
    my $uname = $self->run('python3', 'import os; print(os.uname().machine)')->{data} || {};
    $self->{machine} = ($uname->{stdout} // '') =~ s/\n//r;
    return $self;
}

sub request {
    my ($self, $method, $path, $body) = @_;
    my $reply = $self->{http}->request($method, $self->{url} . $path, {
        headers => { 'X-Api-Key' => $self->{key}, 'Content-Type' => 'application/json' }, defined $body ? (content => $body) : () });
    my $decoded = eval { $json->decode($reply->{content}) };
    return { status => $reply->{status}, body => $reply->{content}, message => ref $decoded eq 'HASH' ? $decoded->{message} : undef,
        data => ref $decoded eq 'HASH' ? $decoded->{data} : undef };
}

# The harmless program of the language, or an empty string.
sub benign {
    my ($self, $language) = @_;
    return $benign{$language} // "";
}

sub run {
    my ($self, $language, $code, %field) = @_;
    return $self->request(POST => '/v1/sandbox/run', $json->encode({ language => $language, code => $code, %field }));
}

# The same in a process of its own, so that another run can proceed beside it. Returns a function
# that waits.
sub run_beside {
    my ($self, @run) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $self->{http} = HTTP::Tiny->new(timeout => 60, verify_SSL => 0);
        $self->run(@run);
        require POSIX;
        POSIX::_exit(0);
    }
    return sub { waitpid $pid, 0; $? = 0 };
}

# --- the runs after an attack -------------------------------------------------------------------------------------------------

my @memory_limits = (undef, 1 << 22, 1 << 25, 1 << 22, 1 << 28);
my %memory_limits = (nodejs => [undef, 1 << 26, 1 << 28]); # it takes some 40 MB itself
my %prints_42 = (python3 => 'print(6 * 7)', nodejs => 'console.log(6 * 7)', bash => 'echo 42', c => '#include <stdio.h>' . "\nint main(void) { puts(\"42\"); }\n");

# As many runs of another key as the case says, one after the other, with memory limits in turn.
# Returns the seconds that each took, and complaints.
sub runs_of_another {
    my ($self, $language, $count) = @_;
    local $self->{key} = $self->{other_key} // $self->{key};
    my (@took, @wrong);
    for my $number (1 .. $count) {
        my $limits = $memory_limits{$language} // \@memory_limits;
        my $bytes = $limits->[$number % @$limits];
        my $begin = time;
        my $reply = $self->run($language, $prints_42{$language}, $bytes ? (limits => { memory_bytes => $bytes }) : ());
        push @took, time - $begin;
        my $data = $reply->{data} || {};
        push @wrong, "$language: run $number, memory " . ($bytes // 'as usual') . ': ' . shorten($reply->{body})
            if ($data->{status} // '') ne 'ok' || $data->{stdout} ne "42\n" || !$data->{usage}{wall_ms};
    }
    return (\@took, @wrong);
}

# Machines are noisy, and to reclaim what the attack has left takes CPU time: one run in four may be
# slower than the quiet ones by much, and none by very much. A second is never noise where the quiet
# ones take milliseconds.
sub slow_ones {
    my ($quiet, $after) = @_;
    my @order = sort { $a <=> $b } @$quiet;
    my $median = max(.001, $order[@order / 2]);
    # A stall takes 600 ms and more; a machine that others use makes 100 ms of 2.
    my @slow = sort { $b <=> $a } grep { $_ > max(.15, 30 * $median) } @$after;
    return if @slow <= @$after / 4 && !grep { $_ > max(.4, 100 * $median) } @slow;
    return sprintf 'the quiet median is %.1f ms; too slow: %s', $median * 1000, join ', ', map { sprintf '%.0f ms', $_ * 1000 } @slow;
}

# --- one case ---------------------------------------------------------------------------------------------------------------

sub reason_to_skip {
    my ($self, $case) = @_;
    my $missing = $self->{missing}{ $case->{language} } // 'no such language';
    return "$case->{language}: $missing" if $missing;
    if ($case->{needs}) {
        my ($name, $pattern) = split ' ', $case->{needs}, 2;
        my $layer = $self->{layers}{$name} || {};
        return "$name is not in force: $layer->{detail}" if %$layer && !$layer->{in_force};
        return "$name: " . ($layer->{detail} // 'the service does not report it') if defined $pattern && ($layer->{detail} // '') !~ /$pattern/;
    }
    return "the service runs on $self->{machine}" if $case->{machine} && $case->{machine} ne $self->{machine};
    return;
}

# The fields of a request beside language and code. On a slow machine a program has higher limits.
sub fields {
    my ($self, $case) = @_;
    my %field = $case->{request} ? %{ $json->decode($case->{request}) } : ();
    return %field if $self->{slow} == 1;
    my %limit = (wall_ms => 15_000, cpu_ms => 15_000, %{ $field{limits} || {} });
    $limit{$_} = min($limit{$_} * $self->{slow}, 120_000) for qw(wall_ms cpu_ms);
    return (%field, limits => \%limit);
}

sub body_of {
    my ($self, $case) = @_;
    return eval($case->{raw}) // die "$case->{name}: raw: $@\n" if $case->{raw};
    my $code = $case->{program} ? slurp("$here/programs/$case->{program}") : $case->{code} // '';
    $code = eval($case->{perl}) // die "$case->{name}: perl: $@\n" if $case->{perl};
    return $json->encode({ language => $case->{language}, code => $code, $self->fields($case) });
}

sub shorten {
    my ($text) = @_;
    return length $text > 600 ? substr($text, 0, 600) . '...' : $text;
}

# Compare a reply with the expectations of the case. Returns complaints.
sub judge {
    my ($case, $reply) = @_;
    my $wanted = $case->{http} // 200;
    my $shown = shorten($reply->{body});
    return "HTTP status $reply->{status} instead of $wanted: $shown" if $reply->{status} !~ /\A(?:$wanted)\z/;
    my $data = $reply->{data};
    return $reply->{status} == 200 ? "no data: $shown" : () if !$data;
    my @wrong;
    push @wrong, "the status is $data->{status} instead of $case->{status}" if $case->{status} && $data->{status} !~ /\A(?:$case->{status})\z/;
    for my $part (qw(stdout stderr error)) {
        push @wrong, "$part does not match /$case->{$part}/" if $case->{$part} && $data->{$part} !~ /$case->{$part}/;
    }
    my @tests = @{ $data->{tests} // [] };
    my $verdicts = join ' ', map { $_->{verdict} } @tests;
    push @wrong, "the verdicts are \"$verdicts\"" if $case->{verdicts} && $verdicts !~ /\A(?:$case->{verdicts})\z/;
    my $written = join "\n", $data->{stdout}, $data->{stderr}, map { @$_{qw(stdout stderr)}, map { $_->{message} // '' } grep { ref } @$_{qw(checker interactor)} } @tests;
    push @wrong, "the output matches /$case->{never}/" if $written =~ /$case->{never}/;
    return @wrong ? (@wrong, $shown) : ();
}

sub carry_out {
    my ($self, $case) = @_;
    my %result = (name => "$case->{name} ($case->{language})", todo => $case->{todo}, assertions => []);
    my $assert = sub { push @{ $result{assertions} }, [@_] };
    if (my $reason = $self->reason_to_skip($case)) { return { %result, skip => $reason } }

    my $body = $self->body_of($case);
    # The cells that it had are used again by its own language or by another one.
    my @next = $case->{next} ? sort keys %{ { map { $_ => 1 } 'python3', $case->{language} } } : ();
    my %quiet;
    for my $language (@next) {
        $self->runs_of_another($language, 1); # wakes it, and has the program compiled
        ($quiet{$language}) = $self->runs_of_another($language, $case->{next});
    }
    my (@wrong, $longest);
    my $seconds = $case->{seconds} * $self->{slow};
    $self->run($case->{language}, $case->{before}) if $case->{before};
    for (1 .. $case->{times}) {
        my $beside;
        if ($case->{beside}) {
            $beside = $self->run_beside($case->{language}, $case->{beside});
            sleep .3 * $self->{slow};
        }
        my @copies = map { $self->run_beside($case->{language}, $json->decode($body)->{code}, $self->fields($case)) } 2 .. $case->{copies} // 1;
        my $begin = time;
        my $reply = $self->request(POST => '/v1/sandbox/run', $body);
        my $took = time - $begin;
        $_->() for @copies;
        $longest = $result{took} = $took if $took > ($longest // -1);
        $beside->() if $beside;
        return { %result, skip => $reply->{message} }
            if $reply->{status} == 400 && ($case->{http} // 200) eq '200' && ($reply->{message} // '') =~ /limits/;
        push @wrong, judge($case, $reply);
    }
    $assert->(!@wrong, 'the verdict is as expected', join "\n", @wrong);
    $assert->($longest <= $seconds, "the answer comes within $seconds s", sprintf 'it took %.1f s', $longest);

    for my $language (@next) {
        my ($after, @complaints) = $self->runs_of_another($language, $case->{next});
        $assert->(!@complaints, "the next $case->{next} runs of another key in $language are right", join "\n", @complaints);
        my $complaint = slow_ones($quiet{$language}, $after);
        $assert->(!$complaint, 'and none of them is slow', $complaint);
    }

    my $language = $benign{ $case->{language} } ? $case->{language} : 'python3';
    my $begin = time;
    my $after = $self->run($language, $benign{$language});
    my $is_right = $after->{data} && $after->{data}{stdout} =~ $self->{benign_prints} && $after->{data}{status} eq 'ok';
    $assert->($is_right && time - $begin < 10 * $self->{slow}, 'the next run is right and finds nothing left behind', shorten($after->{body}));

    if ($self->{host}) {
        my @complaints = $self->{host}->();
        $assert->(!@complaints, 'the host is unchanged', join "\n", @complaints);
    }
    return \%result;
}

# Report a result to Test::More. A known hole is a single test that is marked TODO.
sub show {
    my ($result) = @_;
    my @assertions = @{ $result->{assertions} };
    my $test = Test::More->builder;
    if ($result->{skip}) {
        $test->skip("$result->{name}: $result->{skip}");
    }
    elsif ($result->{todo}) {
        $test->todo_start($result->{todo});
        $test->ok(!(grep { !$_->[0] } @assertions), $result->{name}) or $test->diag(join "\n", map { "$_->[1]: $_->[2]" } grep { !$_->[0] } @assertions);
        $test->todo_end;
    }
    else {
        $test->subtest($result->{name} => sub {
            for (@assertions) {
                my ($is_good, $name, $explanation) = @$_;
                $test->ok($is_good, $name) or $test->diag($explanation);
            }
        });
    }
    return;
}

1;
