# Real wheels from the index of pip, with compiled parts: they are installed into a set, they work
# in a cell, and they are on the shelf as the host's packages are.
use strict;
use warnings;
use Cellblock qw(command eventually missing skip_all spew);
use Test::More;

skip_all('bubblewrap makes no cell here')
    if (command([qw(bwrap --unshare-all --ro-bind / / true)]))[0] != 0;

my $cb = Cellblock->start(own => 1);

sub output {
    my $reply = $cb->run(code => $_[0], limits => { wall_ms => 100_000, cpu_ms => 100_000, memory_bytes => 1 << 30 });
    return ($reply->{data}{stdout} // $reply->{body}) . ($reply->{data}{error} // '');
}

# The shelf's modules are not read again: their import opens next to no file. A run does not wait
# for the zygote that has it.
sub is_on_shelf {
    my ($module) = @_;
    my $opened;
    return 1 if eventually(60, sub { $opened = files_opened($module); return $opened =~ /^[0-4]\n/ });
    diag "the import of $module opens files: $opened";
    return;
}

sub files_opened {
    my ($module) = @_;
    return output("import sys\nopened = [0]\ndef count(event, args):\n    if event == 'open': opened[0] += 1\nsys.addaudithook(count)\n"
        . "import $module\nprint(opened[0])");
}

SKIP: {
    my $why = missing('numpy is not installed on the host', output('import numpy') eq '');
    skip $why, 1 if $why;
    ok is_on_shelf('numpy'), "the host's numpy is on the shelf";
}

spew("$cb->{dir}/live/conf/dependencies/python3/requirements.txt", "numpy >= 2\npandas >= 2\npydantic >= 2\nmatplotlib >= 3.8\nscikit-learn\n");
# It takes a minute, or several on a busy machine.
my (undef, $body) = command(['curl', '-s', '-m', '900', '-H', "X-Api-Key: $cb->{key}", "$cb->{url}/v1/sandbox/dependencies/refresh?language=python3"], seconds => 1000);
my $reply = Cellblock::json()->decode($body || '{}');
SKIP: {
    # No failure anywhere: t/dependencies.t installs wheels of its own.
    skip "the index of pip cannot be reached: $body", 1
        if ($reply->{code} // -422) != 0 && ($reply->{message} // '') =~ /No matching distribution|Could not find a version|connection|timed? ?out|\A\z/i;
    subtest 'wheels' => sub {
        is $reply->{code}, 0, 'refresh' or return diag $body;
        my %version = map { $_->{name} => $_->{version} } @{ $reply->{data}{dependencies} };
        for my $name (qw(numpy pandas pydantic matplotlib)) {
            is output("import $name\nprint($name.__version__, $name.__file__.startswith('/packages/python3/'))"), "$version{$name} True\n", "$name is the set's";
        }
        ok is_on_shelf($_), "$_ is on the shelf" for qw(numpy pandas pydantic);
        is output('import numpy; print(numpy.arange(10).sum())'), "45\n", 'numpy computes';
        is output("import pandas\nprint(pandas.DataFrame({'a': [1, 2, 3]}).describe().loc['mean', 'a'])"), "2.0\n", 'pandas computes';
        is output("import pydantic\nclass M(pydantic.BaseModel):\n    a: int\nprint(repr(M(a='3')))"), "M(a=3)\n", 'pydantic validates';
        is output("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('x.png')\nprint(open('x.png', 'rb').read(4))"), "b'\\x89PNG'\n", 'matplotlib draws';
        is output("from sklearn.linear_model import LinearRegression\nprint(LinearRegression().fit([[0], [1]], [0, 1]).coef_.round(6))"), "[1.]\n", 'scikit-learn learns';
    };
}
$cb->finish;
done_testing;
