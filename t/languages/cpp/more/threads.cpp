#include <future>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

int main()
{
    std::vector<std::thread> threads;
    std::mutex mutex;
    long sum = 0;

    for (int i = 1; i <= 16; i++) {
        threads.emplace_back([&, i] {
            for (int n = 0; n < 1000; n++) {
                std::lock_guard lock(mutex);
                sum += i;
            }
        });
    }
    for (auto &thread : threads)
        thread.join();
    std::cout << sum << '\n' << std::async(std::launch::async, [] { return 42; }).get() << '\n';
}
