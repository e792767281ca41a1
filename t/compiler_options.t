# compiler_options: words for the compiler's command, from the list that the operator allows.
use strict;
use warnings;
use Cellblock qw(missing);
use Test::More;

my $cb = Cellblock->start(own => 1, conf => [['languages/c.conf', qr/options = \[/, 'options = ["-DNAME=7", "-DOTHER", ']]);

sub compile {
    my ($code, @options) = @_;
    return $cb->run(language => 'c', code => $code, compiler_options => \@options);
}

my $code = <<'C';
#include <stdio.h>
#ifndef NAME
#define NAME 0
#endif
int main(void) {
#ifdef _OPENMP
	printf("openmp ");
#endif
#ifdef __OPTIMIZE__
	printf("optimized ");
#endif
	printf("%ld %d\n", __STDC_VERSION__, NAME);
}
C
my $plain = compile($code);
if (my $why = missing('no C here', $plain->{status} == 200)) {
    $cb->finish;
    plan skip_all => $why;
}
is $plain->{data}{stdout}, "optimized 201710 0\n", 'no options';
is compile($code, '-O0')->{data}{stdout}, "201710 0\n", 'one option, after those of the command';
is compile($code, '-fopenmp', '-std=c11', '-DNAME=7')->{data}{stdout}, "openmp optimized 201112 7\n", 'several options';
my $again = compile($code);
is $again->{data}{stdout}, "optimized 201710 0\n", 'the program that is kept is not taken for one with other options';
ok $again->{data}{compile}{cached}, 'it was kept';
ok compile($code, '-DNAME=7', '-std=c11', '-fopenmp')->{data}{compile}{cached}, 'the order of options makes no difference';
is compile("int main(void) { int unused; return 0; }", '-Werror')->{data}{status}, 'compile_error', 'an option that makes the compiler reject a program';

for (
    [['-fplugin=/box/x.so'], qr/\Acompiler_options\[0\]: "-fplugin=\/box\/x\.so" is not allowed on this server; allowed: -DNAME=7, -DOTHER, -O0/],
    [['-O0', '-DNAME'], qr/\Acompiler_options\[1\]: "-DNAME" is not allowed/],
    [["-O0\0x"], qr/\Acompiler_options\[0\]: .* is not allowed/],
    [[''], qr/\Acompiler_options\[0\]: "" is not allowed/],
    [[7], qr/\Acompiler_options\[0\]: must be a string\z/],
    ['-O0', qr/\Acompiler_options: must be a list of strings\z/],
) {
    my ($options, $message) = @$_;
    my $r = $cb->run(language => 'c', code => $code, compiler_options => $options);
    is $r->{status}, 400, 'bad options: status';
    like $r->{json}{message}, $message, 'bad options: message';
}
like $cb->run(code => '1', compiler_options => ['-O2'])->{json}{message}, qr/\Acompiler_options: python3 is not compiled\z/, 'a language that is not compiled';
is $cb->run(code => 'print(1)', compiler_options => [])->{data}{stdout}, "1\n", 'it may have none';
is $cb->run(language => 'c', code => $code, compiler_options => undef)->{status}, 200, 'null is none';
my ($c) = grep { $_->{name} eq 'c' } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
is_deeply [@{ $c->{compiler_options} }[0, 1]], ['-DNAME=7', '-DOTHER'], 'the languages list what is allowed';

my $loops = $cb->run(language => 'fortran', code => "program p\n  real(8) :: x\n  call fill(x)\n  print '(f10.1)', x\ncontains\n  subroutine fill(x)\n    real(8), intent(out) :: x\n    real(8) :: grid(2000, 2000)\n    grid = 0.25d0\n    x = sum(grid)\n  end subroutine\nend program\n");
SKIP: {
    if (my $why = missing('no Fortran here', $loops->{status} == 200)) { skip $why, 1 }
    like $loops->{data}{stdout}, qr/\A\s*1000000\.0\n\z/, 'a local array of 32 MB in Fortran';
}

$cb->finish;
done_testing;
