/* Functions of libc that this project does not use, each with what to use instead. The Makefile includes
 * this file before every source (-include), so that any use is a compile error that names the remedy:
 * "implicit declaration of function 'BANNED_use_str_copy'". The system headers that declare them are
 * included first, so their own text is untouched. */
#ifndef OUTRIDER_BASE_BANNED_H
#define OUTRIDER_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* With _FORTIFY_SOURCE some of them are macros already. */
#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef sprintf
#undef vsprintf
#undef strtok
#undef atoi
#undef atol
#undef atoll
#undef atof
#undef gets
#undef gmtime
#undef localtime
#undef ctime
#undef tmpnam
#undef system
#undef srand

#define strcpy(...) BANNED_use_str_copy(__VA_ARGS__)
#define strcat(...) BANNED_use_struct_text(__VA_ARGS__)
#define strncpy(...) BANNED_use_str_copy(__VA_ARGS__)
#define strncat(...) BANNED_use_struct_text(__VA_ARGS__)
#define sprintf(...) BANNED_use_snprintf_or_struct_text(__VA_ARGS__)
#define vsprintf(...) BANNED_use_vsnprintf_or_struct_text(__VA_ARGS__)
#define strtok(...) BANNED_use_str_next(__VA_ARGS__)
#define atoi(...) BANNED_use_str_u64(__VA_ARGS__)
#define atol(...) BANNED_use_str_u64(__VA_ARGS__)
#define atoll(...) BANNED_use_str_u64(__VA_ARGS__)
#define atof(...) BANNED_use_strtod(__VA_ARGS__)
#define gets(...) BANNED_use_fgets(__VA_ARGS__)
#define gmtime(...) BANNED_use_clock_iso_or_gmtime_r(__VA_ARGS__)
#define localtime(...) BANNED_use_clock_iso(__VA_ARGS__)
#define ctime(...) BANNED_use_clock_iso(__VA_ARGS__)
#define tmpnam(...) BANNED_use_mkstemp(__VA_ARGS__)
#define system(...) BANNED_use_posix_spawn(__VA_ARGS__)
#define srand(...) BANNED_use_struct_rng(__VA_ARGS__)

#endif
