#include "base/clock.h"

#include <time.h>

static usec read_clock(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0) /* cannot fail for these two clocks on Linux */
		return 0;
	return (usec)ts.tv_sec * USEC_SEC + (usec)ts.tv_nsec / 1000;
}

usec clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

usec clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

struct date {
	uint64_t year, month, day;
};

/* The proleptic Gregorian date of a day since 1970. Years are counted from March, so that the leap day is
 * a year's last; 400 years have 146,097 days, and 1970-01-01 is day 719,468 after 0000-03-01. */
static struct date date_of_day(uint64_t days)
{
	uint64_t z = days + 719468;
	uint64_t era = z / 146097, of_era = z % 146097;
	uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint64_t from_march = (5 * of_year + 2) / 153;
	uint64_t day = of_year - (153 * from_march + 2) / 5 + 1;
	uint64_t month = from_march < 10 ? from_march + 3 : from_march - 9;

	return (struct date){ era * 400 + year + (month <= 2), month, day };
}

static void digits(char *dst, uint64_t v, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		dst[i] = (char)('0' + v % 10);
		v /= 10;
	}
}

/* Without printf: this stands in every log record. */
void clock_iso(usec wall, char dst[25])
{
	static const char form[25] = "0000-00-00T00:00:00.000Z";
	uint64_t sec = wall / USEC_SEC, of_day = sec % 86400;
	struct date d = date_of_day(sec / 86400);

	for (int i = 0; i < 25; i++)
		dst[i] = form[i];
	digits(dst, d.year, 4);
	digits(dst + 5, d.month, 2);
	digits(dst + 8, d.day, 2);
	digits(dst + 11, of_day / 3600, 2);
	digits(dst + 14, of_day / 60 % 60, 2);
	digits(dst + 17, of_day % 60, 2);
	digits(dst + 20, wall / USEC_MS % 1000, 3);
}
