# ColdPython.pm - programs under a bare Python, to compare their runs in a cell with.
package ColdPython;
use strict;
use warnings;

use Cellblock qw(command json spew);
use Encode qw(decode);
use Exporter qw(import);
use File::Temp ();
use POSIX ();

our @EXPORT_OK = qw(cold_python cold_result same_form);

# The Python to compare with, from the reply of a run of the program below: its path, the
# environment and the version of a cell.
our $facts = 'import json, os, platform; print(json.dumps([platform.python_version(), dict(os.environ), os.getcwd()]))';

sub cold_python {
    my ($path, $reply) = @_;
    my ($version, $env, $cwd) = @{ json->decode($reply->{data}{stdout} || '[]') };
    return { path => $path, version => $version, env => $env, cwd => $cwd };
}

# A program's cold run: (stdout, stderr, exit code, signal).
sub cold_result {
    my ($python, $source, $stdin, @args) = @_;
    my ($version, $env) = @$python{qw(version env)};
    my $outside = File::Temp->newdir; # gone at the end of this function, also in a child that ends by _exit
    my $dir = "$outside/box"; # the program alone is in it
    mkdir $dir or die "$dir: $!";
    spew("$dir/main.py", $source);
    # The variables are those of a cell; two of the values are directories.
    my %value = map { $_ => ($env->{$_} // '/tmp') =~ s{\A/box}{$dir}r } (qw(HOME LANG LOGNAME LSAN_OPTIONS PATH SHELL TMPDIR USER), exists $env->{OMP_NUM_THREADS} ? 'OMP_NUM_THREADS' : ());
    # In a session of its own, as in a cell: the test's process group may be outside of the pid
    # namespace of a container, and then has the id 0.
    # Up to Python 3.8 a program that is named by a relative path has that in its tracebacks.
    my $main = $version =~ /^3\.[0-8]\./ ? "$dir/main.py" : 'main.py';
    my ($exit, $out, $err, $signal) = command(['setsid', '/usr/bin/env', '-i', "-C$dir", (map {"$_=$value{$_}"} sort keys %value), $python->{path}, $main, @args],
        piped => $stdin);
    s/\Q$dir\E/\/box/g for $out, $err;
    return (same_form(decode('UTF-8', $out)), same_form(decode('UTF-8', $err)), $signal ? -1 : $exit, $signal ? signal_name($signal) : undef);
}

sub signal_name {
    my ($number) = @_;
    my ($name) = grep { POSIX->can($_) && POSIX->can($_)->() == $number } qw(SIGHUP SIGINT SIGABRT SIGKILL SIGSEGV SIGUSR1 SIGPIPE SIGALRM SIGTERM);
    return $name;
}

# Addresses differ from run to run, and decoders differ in the number of U+FFFD for an invalid
# sequence.
sub same_form {
    my ($text) = @_;
    $text =~ s/0x[0-9a-f]{6,}/0xADDRESS/g;
    $text =~ s/\x{fffd}+/\x{fffd}/g;
    return $text;
}

1;
