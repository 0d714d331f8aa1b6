/* Arena, blocks, and the allocator below them. */
#include "base/arena.h"
#include "base/block.h"
#include "base/mem.h"

#include <check.h>

START_TEST(mem_fails_on_request)
{
	mem_fail_at(2);
	void *a = mem_alloc(1), *b = mem_zalloc(1), *c = mem_zarray(2, 8);
	ck_assert(a && !b && c);
	ck_assert_uint_eq(mem_count(), 3);
	mem_free(a);
	mem_free(c);
	mem_free(NULL);
	mem_fail_at(1);
	ck_assert_ptr_null(mem_dup("x", 1));
	mem_fail_at(0);
	char *d = mem_dup("xyz", 2);
	ck_assert_str_eq(d, "xy");
	mem_fail_at(1);
	ck_assert_ptr_null(mem_resize(d, 100));
	mem_fail_at(0);
	ck_assert_str_eq(d, "xy"); /* still there */
	mem_wipe_free(d, 3);
	mem_wipe_free(NULL, 3);
	ck_assert_ptr_null(mem_zarray(SIZE_MAX / 2, 4));
	ck_assert_ptr_null(mem_dup("x", SIZE_MAX));
	void *nothing = mem_alloc(0);
	ck_assert_ptr_nonnull(nothing);
	mem_free(nothing);
}
END_TEST

START_TEST(arena_uses_the_owners_memory_first)
{
	_Alignas(16) char first[256];
	struct arena a;

	arena_init(&a, 100000, first, sizeof(first));
	mem_fail_at(0);
	char *p = arena_alloc(&a, 200);
	ck_assert(p >= first && p + 200 <= first + sizeof(first));
	ck_assert_uint_eq(mem_count(), 0);
	ck_assert_ptr_nonnull(arena_alloc(&a, 200));
	ck_assert_uint_eq(mem_count(), 1);
	arena_reset(&a);
	ck_assert_ptr_eq(arena_alloc(&a, 200), p);
	arena_release(&a);
	ck_assert_ptr_null(arena_alloc(&a, 1)); /* needs init again */
}
END_TEST

START_TEST(arena_aligns_and_clears)
{
	struct arena a;

	arena_init(&a, 100000, NULL, 0);
	for (size_t i = 1; i < 100; i++) {
		memset(arena_bytes(&a, i), 0xff, i);
		char *p = arena_zalloc(&a, i);
		ck_assert_uint_eq((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t k = 0; k < i; k++)
			ck_assert_int_eq(p[k], 0);
	}
	arena_release(&a);
}
END_TEST

START_TEST(arena_copies_text)
{
	struct arena a;

	arena_init(&a, 100000, NULL, 0);
	struct str s = arena_str(&a, str_make("abcdef", 3));
	ck_assert_uint_eq(s.n, 3);
	ck_assert_str_eq(s.p, "abc");
	ck_assert_str_eq(arena_z(&a, str_make(NULL, 0)), "");
	ck_assert_str_eq(arena_fmt(&a, "%s:%d", "x", 80), "x:80");
	arena_release(&a);
}
END_TEST

START_TEST(arena_has_a_maximum)
{
	struct arena a;

	arena_init(&a, 10000, NULL, 0);
	for (int i = 0; i < 10; i++)
		ck_assert_ptr_nonnull(arena_bytes(&a, 1000));
	ck_assert_ptr_null(arena_bytes(&a, 1));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	ck_assert_ptr_null(arena_str(&a, STR("x")).p);
	ck_assert_ptr_null(arena_fmt(&a, "x"));
	ck_assert_uint_le(a.used, 10000);
	arena_reset(&a);
	ck_assert_ptr_nonnull(arena_bytes(&a, 10000)); /* larger than any chunk */
	arena_release(&a);
}
END_TEST

START_TEST(arena_survives_lack_of_memory)
{
	struct arena a;

	arena_init(&a, 1000000, NULL, 0);
	mem_fail_at(1);
	ck_assert_ptr_null(arena_zalloc(&a, 8));
	ck_assert_ptr_nonnull(arena_zalloc(&a, 8)); /* the next one works */
	mem_fail_at(1);
	ck_assert_ptr_null(arena_alloc(&a, 100000));
	mem_fail_at(0);
	arena_release(&a);
}
END_TEST

START_TEST(blocks_go_round)
{
	struct block_pool p;

	block_pool_init(&p, 1 << 20, 1);
	struct block *a = block_get(&p, BLOCK_SMALL), *b = block_get(&p, BLOCK_SMALL);
	ck_assert(a->refs == 1 && a->cap == BLOCK_SMALL_BYTES && a->start == 0 && block_room(a) == a->cap);
	ck_assert_uint_eq(p.out, 2 * BLOCK_SMALL_BYTES);
	a->end = 5;
	memset(a->data, 'x', a->cap);
	block_unref(block_ref(a));
	ck_assert_uint_eq(a->refs, 1);
	block_unref(a);
	block_unref(b); /* one is kept, this one goes back to libc */
	block_unref(NULL);
	ck_assert_uint_eq(p.free_count[BLOCK_SMALL], 1);
	ck_assert_uint_eq(p.out, 0);
	mem_fail_at(1); /* the kept one needs no memory */
	a = block_get(&p, BLOCK_SMALL);
	ck_assert(a && a->end == 0 && a->refs == 1);
	ck_assert_ptr_null(block_get(&p, BLOCK_SMALL));
	mem_fail_at(0);
	block_unref(a);
	block_pool_release(&p);
}
END_TEST

START_TEST(blocks_have_a_maximum)
{
	struct block_pool p;

	block_pool_init(&p, 100000, 4);
	struct block *large = block_get(&p, BLOCK_LARGE), *huge = block_get_huge(&p, 30000);
	ck_assert(large && huge);
	ck_assert_uint_eq(huge->cap, 30000);
	ck_assert_ptr_null(block_get(&p, BLOCK_SMALL));
	ck_assert_ptr_null(block_get_huge(&p, UINT32_MAX));
	block_unref(huge);
	ck_assert_ptr_null(p.free[BLOCK_HUGE]); /* never kept */
	mem_fail_at(1);
	ck_assert_ptr_null(block_get_huge(&p, 100));
	mem_fail_at(0);
	ck_assert_uint_eq(p.out, BLOCK_LARGE_BYTES); /* what failed is not counted */
	block_unref(large);
	block_pool_release(&p);
}
END_TEST

Suite *suite_base_memory(void)
{
	Suite *s = suite_create("base_memory");
	TCase *t = tcase_create("memory");

	tcase_add_test(t, mem_fails_on_request);
	tcase_add_test(t, arena_uses_the_owners_memory_first);
	tcase_add_test(t, arena_aligns_and_clears);
	tcase_add_test(t, arena_copies_text);
	tcase_add_test(t, arena_has_a_maximum);
	tcase_add_test(t, arena_survives_lack_of_memory);
	tcase_add_test(t, blocks_go_round);
	tcase_add_test(t, blocks_have_a_maximum);
	suite_add_tcase(s, t);
	return s;
}
