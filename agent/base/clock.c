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

/* --- the other way --------------------------------------------------------------------------------------------------- */

struct reader {
	const char *p, *end;
};

static bool take(struct reader *r, char c)
{
	if (r->p == r->end || (*r->p | 0x20) != (c | 0x20))
		return false;
	r->p++;
	return true;
}

/* Exactly n digits, at most max. */
static bool number(struct reader *r, int n, uint64_t max, uint64_t *ret)
{
	*ret = 0;
	for (; n > 0; n--, r->p++) {
		if (r->p == r->end || *r->p < '0' || *r->p > '9')
			return false;
		*ret = *ret * 10 + (uint64_t)(*r->p - '0');
	}
	return *ret <= max;
}

/* Digits after the point, as nanoseconds; what is finer is left out. */
static bool fraction(struct reader *r, uint64_t *ns)
{
	uint64_t unit = 100000000, digit;

	*ns = 0;
	if (!take(r, '.') && !take(r, ','))
		return true;
	if (!number(r, 1, 9, &digit))
		return false;
	do {
		*ns += digit * unit;
		unit /= 10;
	} while (r->p < r->end && *r->p >= '0' && *r->p <= '9' && number(r, 1, 9, &digit));
	return true;
}

/* Seconds east of UTC. */
static bool zone(struct reader *r, int64_t *ret)
{
	uint64_t hours, minutes;

	*ret = 0;
	if (take(r, 'Z'))
		return true;
	if (r->p == r->end || (*r->p != '+' && *r->p != '-'))
		return false;
	int64_t sign = *r->p++ == '-' ? -1 : 1;
	if (!number(r, 2, 23, &hours))
		return false;
	(void)take(r, ':');
	if (!number(r, 2, 59, &minutes))
		return false;
	*ret = sign * (int64_t)(hours * 3600 + minutes * 60);
	return true;
}

/* Days since 1970 of a date of 1970 or later; see date_of_day(). */
static uint64_t day_of_date(struct date d)
{
	uint64_t year = d.month <= 2 ? d.year - 1 : d.year, of_era = year % 400;
	uint64_t from_march = d.month > 2 ? d.month - 3 : d.month + 9;
	uint64_t of_year = (153 * from_march + 2) / 5 + d.day - 1;

	return year / 400 * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool clock_read_iso(const char *p, size_t n, uint64_t *ret)
{
	struct reader r = { p, p + n };
	struct date d;
	uint64_t hour, minute, second, ns;
	int64_t east;

	if (!number(&r, 4, 2500, &d.year) || !take(&r, '-') || !number(&r, 2, 12, &d.month) || !take(&r, '-') || !number(&r, 2, 31, &d.day) ||
		d.year < 1970 || !d.month || !d.day || !(take(&r, 'T') || take(&r, ' ')))
		return false;
	if (!number(&r, 2, 23, &hour) || !take(&r, ':') || !number(&r, 2, 59, &minute) || !take(&r, ':') || !number(&r, 2, 60, &second) ||
		!fraction(&r, &ns) || !zone(&r, &east) || r.p != r.end)
		return false;
	int64_t seconds = (int64_t)(day_of_date(d) * 86400 + hour * 3600 + minute * 60 + second) - east;
	if (seconds < 0)
		return false;
	*ret = (uint64_t)seconds * 1000000000 + ns;
	return true;
}
