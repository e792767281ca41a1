#include <algorithm>
#include <chrono>
#include <concepts>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <ranges>
#include <regex>
#include <sstream>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>

template <std::integral T> T twice(T n) { return n * 2; }

int main()
{
    using namespace std::literals;
    std::unordered_map<std::string, int> count;
    std::istringstream words("a b a c b a");

    for (std::string word; words >> word;)
        count[word]++;
    for (const auto &[word, n] : std::map(count.begin(), count.end()))
        std::cout << word << '=' << n << ' ';
    std::cout << '\n' << twice(21) << '\n';
    for (int n : std::views::iota(1, 20) | std::views::filter([](int n) { return n % 7 == 0; }))
        std::cout << n << ' ';
    std::cout << '\n' << std::regex_replace("2024-01-02"s, std::regex("(\\d+)-(\\d+)-(\\d+)"), "$3.$2.$1") << '\n';
    std::ofstream("note.txt") << "kept";
    std::cout << std::filesystem::file_size("note.txt") << ' ' << std::filesystem::current_path() << '\n';
    std::mt19937 random(42);
    std::cout << random() << '\n';
    std::variant<int, std::string> either = "text";
    std::cout << either.index() << ' ' << std::optional<int>().value_or(5) << '\n';
    try {
        std::map<int, int>().at(3);
    } catch (const std::out_of_range &) {
        std::cout << "caught\n";
    }
    std::cout << "grüß"sv << ' ' << "grüß"sv.size() << '\n';
}
