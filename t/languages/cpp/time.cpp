int main()
{
    for (;;)
        asm volatile("");
}
