# Programs of several source files: `main` names the one that is started, others can be imported,
# and compilers get all of them.
use strict;
use warnings;
use Cellblock qw(envelope_ok missing);
use Test::More;

# Beside other tests a compiler may need several times its usual time.
my @patient = map { ["languages/$_.conf", qr/^compile = \{\n/m, "compile = {\n\tlimits = { wall_ms = 120000; cpu_ms = 60000; };\n"] } qw(c cpp go java rust csharp);
my $cb = Cellblock->start(own => 1, conf => [@patient]);
my %available = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };

# --- interpreters ------------------------------------------------------------------------------------------------------------

my %python = (
    'app/start.py'       => "import sys, helper, pkg.deep\nprint(__file__, __name__, sys.path[0], sys.argv, helper.x, pkg.deep.y)\n",
    'app/helper.py'      => 'x = 1',
    'app/pkg/__init__.py' => '',
    'app/pkg/deep.py'    => 'y = 2',
);
my $r = $cb->run(main => 'app/start.py', files => \%python);
is $r->{data}{stdout}, "/box/app/start.py __main__ /box/app ['app/start.py'] 1 2\n", 'Python: modules beside the file that is started'
    or diag $r->{body};
is $cb->run(main => 'app/start.py', files => \%python, args => ['a'], env => { B => 'c' })->{data}{stdout},
    "/box/app/start.py __main__ /box/app ['app/start.py', 'a'] 1 2\n", 'Python: with arguments';
$r = $cb->run(main => 'app/start.py', files => { 'app/start.py' => "def f():\n    1 / 0\nf()\n" });
is $r->{data}{stderr} =~ s/^ *[~^]+\n//gmr, <<'END', 'Python: a traceback names the file, and no line of ours' or diag $r->{body};
Traceback (most recent call last):
  File "/box/app/start.py", line 3, in <module>
    f()
  File "/box/app/start.py", line 2, in f
    1 / 0
ZeroDivisionError: division by zero
END
is $cb->run(main => 'a.py', files => { 'a.py' => "import b\nx = 1", 'b.py' => "import inspect, sys\nprint(inspect.getsource(sys.modules['__main__']).splitlines()[0])" })
    ->{data}{stdout}, "import b\n", 'Python: inspect reads the file that was started';
is $cb->run(main => 'main.py', files => { 'main.py' => 'import b', 'b.py' => 'print("b")' })->{data}{stdout}, "b\n", 'Python: the usual main file';
is $cb->run(main => 'a.py', files => [{ path => 'a.py', content => 'cHJpbnQoMSk=', encoding => 'base64' }])->{data}{stdout}, "1\n", 'Python: sent as base64';

for (
    ['nodejs', 'app/start.js', { 'app/start.js' => 'console.log(__filename, require.main === module, require("./helper").x)', 'app/helper.js' => 'exports.x = 1' },
        "/box/app/start.js true 1\n"],
    ['nodejs', 'start.mjs', { 'start.mjs' => 'import { x } from "./x.mjs"; console.log(x)', 'x.mjs' => 'export const x = 2' }, "2\n"],
    ['nodejs', 'main.js', { 'main.js' => 'console.log(require("./x"))', 'x.js' => 'module.exports = 3' }, "3\n"],
    ['perl', 'start.pl', { 'start.pl' => 'use lib "."; use Helper; print Helper::x(), " $0\n"', 'Helper.pm' => 'package Helper; sub x { 4 } 1' }, "4 start.pl\n"],
    ['bash', 'bin/start.sh', { 'bin/start.sh' => '. bin/x.sh; echo "$X $0"', 'bin/x.sh' => 'X=5' }, "5 bin/start.sh\n"],
    ['lua', 'start.lua', { 'start.lua' => 'print(require("x"))', 'x.lua' => 'return 6' }, qr/\A6\b/],
    ['ruby', 'start.rb', { 'start.rb' => 'require_relative "x"; puts X', 'x.rb' => 'X = 7' }, "7\n"],
    # The word of a command is a path, whatever its name looks like.
    ['bash', '-c', { '-c' => 'echo "no option"' }, "no option\n"],

    # --- compilers -----------------------------------------------------------------------------------------------------------

    ['c', 'src/start.c', { 'src/start.c' => "#include <stdio.h>\n#include \"f.h\"\nint main(void) { printf(\"%d\\n\", f()); return 0; }",
        'src/f.c' => "#include \"f.h\"\nint f(void) { return 8; }", 'src/f.h' => 'int f(void);' }, "8\n"],
    ['c', 'a.c', { 'a.c' => 'int f(void); int main(void) { return f(); }', '-fsyntax-only.c' => 'int f(void) { return 0; }', '@b.c' => 'int g;' }, ''],
    ['cpp', 'start.cpp', { 'start.cpp' => "#include <iostream>\nint f(); int main() { std::cout << f() << '\\n'; }", 'lib/f.cc' => 'int f() { return 9; }' }, "9\n"],
    ['go', 'start.go', { 'start.go' => "package main\nfunc main() { println2(f()) }", 'f.go' => "package main\nimport \"fmt\"\nfunc f() int { return 10 }\nfunc println2(i int) { fmt.Println(i) }" }, "10\n"],
    ['rust', 'src/main.rs', { 'src/main.rs' => 'mod f; fn main() { println!("{}", f::f()); }', 'src/f.rs' => 'pub fn f() -> i32 { 11 }' }, "11\n"],
    ['java', 'Main.java', { 'Main.java' => 'import lib.deep.F; public class Main { public static void main(String[] a) { System.out.println(F.f()); } }',
        'lib/deep/F.java' => 'package lib.deep; public class F { public static int f() { return 12; } }' }, "12\n"],
    ['csharp', 'start.cs', { 'start.cs' => 'class P { static void Main() { System.Console.WriteLine(F.f()); } }', 'f.cs' => 'class F { public static int f() { return 13; } }' }, "13\n"],
    ['haskell', 'start.hs', { 'start.hs' => "import F\nmain = print f", 'F.hs' => "module F where\nf = 14" }, "14\n"],
) {
    my ($language, $main, $files, $stdout) = @$_;
    SKIP: {
        skip "no $language here", 1 if !$available{$language};
        $r = $cb->run(language => $language, main => $main, files => $files);
        (ref $stdout ? like $r->{data}{stdout}, $stdout, "$language: $main" : is_deeply [@{ $r->{data} }{qw(status stdout)}], ['ok', $stdout], "$language: $main") or diag $r->{body};
    }
}

# With code, the main file has its usual name.
SKIP: {
    skip 'no c here', 1 if !$available{c};
    is $cb->run(language => 'c', code => 'int f(void); int main(void) { return f(); }', files => { 'f.c' => 'int f(void) { return 6; }' })->{data}{exit_code}, 6,
        'C: the code and another source';
}

# --- bad requests ------------------------------------------------------------------------------------------------------------

for (
    [{ main => 'x.py', files => { 'a.py' => '1' } }, 'main: "x.py" is none of the files'],
    [{ main => 'x.py' }, 'main: "x.py" is none of the files'],
    [{ main => 'a.py', files => { 'a.py' => '1' }, code => '2' }, 'main: must not be there together with code'],
    [{ main => 1, files => { 'a.py' => '1' } }, 'main: must be a string'],
    [{ main => 'a.py', files => { 'a.py' => '' } }, 'main: "a.py" must not be empty'],
    [{ main => 'a.py', files => { 'a.py' => '1' }, preload => '2' }, 'preload: must not be there together with main'],
    [{ language => 'java', main => 'A.java', files => { 'A.java' => '1' } }, 'main: a program in java begins with the file Main.java; give the file this name'],
    [{ files => { 'a.py' => '1' } }, 'code: is required and must not be empty'],
) {
    my ($fields, $message) = @$_;
    $r = $cb->run(%$fields);
    envelope_ok($r, 400, -400, $message);
    is $r->{json}{message}, $message, "$message: the message";
}

$cb->finish;
done_testing;
