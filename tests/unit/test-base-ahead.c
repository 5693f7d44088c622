/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-base-ahead.c - jobs done ahead by a second thread: each once, taken in order, none after the end. */
#include "config.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/ahead.h"

#define JOBS 20000u

struct work {
	struct domu_ahead_run run;
	/* Plain: that the two threads do not both have them is what is tried. */
	unsigned number[DOMU_AHEAD_SLOTS], result[DOMU_AHEAD_SLOTS], times[DOMU_AHEAD_SLOTS];
	atomic_uint by[2]; /* how many jobs either thread did */
	atomic_uint going_on;
	atomic_bool hold; /* the thread's job lasts until it is told */
};

static void job(void *user, unsigned slot, unsigned who)
{
	struct work *w = user;
	volatile unsigned sum = 0;

	atomic_fetch_add(&w->going_on, 1);
	for (unsigned i = 0; i < w->number[slot] * 7919u % 300; i++)
		sum += i;
	w->result[slot] = w->number[slot] + 1;
	w->times[slot]++;
	atomic_fetch_add(&w->by[who], 1);
	while (who == 1 && atomic_load(&w->hold))
		poll(NULL, 0, 1);
	atomic_fetch_sub(&w->going_on, 1);
}

static void put(struct work *w, unsigned number)
{
	unsigned slot;

	cr_assert(domu_ahead_room(&w->run, &slot));
	w->number[slot] = number;
	w->result[slot] = w->times[slot] = 0;
	domu_ahead_put(&w->run);
}

static void take(struct work *w, unsigned number)
{
	unsigned slot;

	cr_assert(domu_ahead_take(&w->run, &slot));
	cr_assert_eq(w->number[slot], number, "job %u came in the place of %u", w->number[slot], number);
	cr_assert_eq(w->result[slot], number + 1, "job %u was not done", number);
	cr_assert_eq(w->times[slot], 1, "job %u was done %u times", number, w->times[slot]);
	domu_ahead_free(&w->run);
}

/* As many put as there is room for, or fewer, and some taken, in turn. */
static void all_jobs(struct work *w, unsigned jobs)
{
	unsigned put_ = 0, taken = 0, slot;

	while (taken < jobs) {
		for (unsigned n = 1 + put_ % 23; n > 0 && put_ < jobs && domu_ahead_room(&w->run, &slot); n--)
			put(w, put_++);
		for (unsigned n = 1 + taken % 5; n > 0 && taken < put_; n--)
			take(w, taken++);
	}
	cr_assert(!domu_ahead_take(&w->run, &slot));
}

/* Until the thread has begun as many; false: a minute has gone by. */
static bool thread_did(struct work *w, unsigned n)
{
	time_t end = time(NULL) + 60;

	while (atomic_load(&w->by[1]) < n && time(NULL) < end)
		poll(NULL, 0, 1);
	return atomic_load(&w->by[1]) >= n;
}

Test(ahead, jobs_are_done_once_and_taken_in_their_order)
{
	struct domu_ahead *a = domu_ahead_start();
	struct work w = { 0 };

	for (unsigned i = 0; i < 20; i++) {
		domu_ahead_begin(&w.run, a, job, &w);
		all_jobs(&w, JOBS / 20);
		domu_ahead_end(&w.run);
	}
	cr_assert_eq(w.by[0] + w.by[1], JOBS);
	domu_ahead_stop(a);
}

Test(ahead, without_a_thread_whoever_takes_a_job_does_it)
{
	struct work w = { 0 };

	domu_ahead_begin(&w.run, NULL, job, &w);
	all_jobs(&w, JOBS);
	domu_ahead_end(&w.run);
	cr_assert_eq(w.by[0], JOBS);
	cr_assert_eq(w.run.slots, 1);
}

/* All that are told of here are skipped where there is one processor: then no thread is made. */
static struct domu_ahead *thread_or_skip(void)
{
	struct domu_ahead *a = domu_ahead_start();

	if (a == NULL)
		cr_skip_test("there is one processor");
	return a;
}

Test(ahead, the_thread_does_some_before_they_are_taken)
{
	struct domu_ahead *a = thread_or_skip();
	struct work w = { 0 };

	domu_ahead_begin(&w.run, a, job, &w);
	for (unsigned i = 0; i < DOMU_AHEAD_SLOTS; i++)
		put(&w, i);
	cr_assert(thread_did(&w, DOMU_AHEAD_SLOTS));
	for (unsigned i = 0; i < DOMU_AHEAD_SLOTS; i++)
		take(&w, i);
	cr_assert_eq(w.by[0], 0);
	domu_ahead_end(&w.run);
	domu_ahead_stop(a);
}

static void *let_go(void *arg)
{
	struct work *w = arg;

	while (atomic_load(&w->by[0]) < DOMU_AHEAD_SLOTS - 1)
		poll(NULL, 0, 1);
	atomic_store(&w->hold, false);
	return NULL;
}

/* The thread is held in the first job until all others were done, which only who waits for it can do. */
Test(ahead, who_waits_for_a_job_does_others_meanwhile, .timeout = 60)
{
	struct domu_ahead *a = thread_or_skip();
	struct work w = { .hold = true };
	pthread_t other;

	domu_ahead_begin(&w.run, a, job, &w);
	for (unsigned i = 0; i < DOMU_AHEAD_SLOTS; i++)
		put(&w, i);
	cr_assert(thread_did(&w, 1));
	cr_assert_eq(pthread_create(&other, NULL, let_go, &w), 0);
	for (unsigned i = 0; i < DOMU_AHEAD_SLOTS; i++)
		take(&w, i);
	cr_assert_eq(w.by[1], 1);
	pthread_join(other, NULL);
	domu_ahead_end(&w.run);
	domu_ahead_stop(a);
}

/* What a job works with may be freed then. */
Test(ahead, after_the_end_no_job_is_going_on)
{
	struct domu_ahead *a = thread_or_skip();

	for (unsigned i = 0; i < 300; i++) {
		struct work w = { 0 };

		domu_ahead_begin(&w.run, a, job, &w);
		for (unsigned k = 0; k < DOMU_AHEAD_SLOTS; k++)
			put(&w, k * i);
		if (i % 3 == 0)
			cr_assert(thread_did(&w, 1));
		domu_ahead_end(&w.run);
		cr_assert_eq(w.going_on, 0);
		memset(&w, 0xff, sizeof w);
	}
	domu_ahead_stop(a);
}

Test(ahead, a_run_inside_another_does_without_the_thread)
{
	struct domu_ahead *a = thread_or_skip();
	struct work outer = { 0 }, inner = { 0 };

	domu_ahead_begin(&outer.run, a, job, &outer);
	domu_ahead_begin(&inner.run, a, job, &inner);
	all_jobs(&inner, 100);
	domu_ahead_end(&inner.run);
	all_jobs(&outer, 100);
	domu_ahead_end(&outer.run);
	cr_assert_eq(inner.by[0], 100);
	domu_ahead_stop(a);
}

struct masks {
	sigset_t set;
	atomic_bool seen;
};

static void look_at_mask(void *user, unsigned slot, unsigned who)
{
	struct masks *m = user;

	(void)slot;
	if (who == 1 && !atomic_load(&m->seen)) {
		pthread_sigmask(SIG_BLOCK, NULL, &m->set);
		atomic_store(&m->seen, true);
	}
}

/* A handler of the process is for the thread that was there before. */
Test(ahead, the_thread_has_all_signals_blocked)
{
	static const int some[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGALRM, SIGPIPE, SIGWINCH, SIGUSR1 };
	struct domu_ahead *a = thread_or_skip();
	struct domu_ahead_run run;
	struct masks m = { 0 };
	time_t end = time(NULL) + 60;
	sigset_t mine;

	domu_ahead_begin(&run, a, look_at_mask, &m);
	for (unsigned i = 0; i < DOMU_AHEAD_SLOTS; i++)
		domu_ahead_put(&run);
	while (!atomic_load(&m.seen) && time(NULL) < end)
		poll(NULL, 0, 1);
	domu_ahead_end(&run);
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		cr_expect_eq(sigismember(&m.set, some[i]), 1, "signal %d", some[i]);
	pthread_sigmask(SIG_BLOCK, NULL, &mine);
	cr_expect_eq(sigismember(&mine, SIGTERM), 0);
	domu_ahead_stop(a);
}
