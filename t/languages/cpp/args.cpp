#include <iostream>
#include <span>

int main(int argc, char **argv)
{
    for (const char *arg : std::span(argv + 1, argv + argc))
        std::cout << arg << '\n';
}
