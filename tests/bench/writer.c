/* Writes lines of 100 bytes, one write each, at a steady rate: "<monotonic ns> <sequence> xxx…\n".
 *
 *   writer RATE COUNT [NAME]   RATE lines a second, COUNT in all, NAME in each; then it sleeps
 *   writer 0 COUNT             as fast as it can, in writes of 8 KiB
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 100

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void line(char *at, long long number, const char *name) {
    int n = snprintf(at, LINE, "%019lld %010lld %s ", now(), number, name);
    memset(at + n, 'x', LINE - 1 - n);
    at[LINE - 1] = '\n';
}

static void all(const char *data, size_t left) {
    while (left > 0) {
        ssize_t n = write(1, data, left);
        if (n < 0) exit(1);
        data += n;
        left -= n;
    }
}

static void flood(long long count, const char *name) {
    static char block[80 * LINE];
    int filled = 0;
    for (long long i = 0; i < count; i++) {
        line(block + filled++ * LINE, i, name);
        if (filled == 80 || i == count - 1) {
            all(block, filled * LINE);
            filled = 0;
        }
    }
}

static void steady(long long rate, long long count, const char *name) {
    char one[LINE];
    long long next = now(), step = 1000000000LL / rate;
    for (long long i = 0; i < count; i++, next += step) {
        struct timespec t = {next / 1000000000LL, next % 1000000000LL};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        line(one, i, name);
        all(one, LINE);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    long long rate = atoll(argv[1]), count = atoll(argv[2]);
    const char *name = argc > 3 ? argv[3] : "";
    if (rate > 0) steady(rate, count, name);
    else flood(count, name);
    for (;;) pause();
}
