/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ahead.c - one thread that does the jobs of a run before they are taken. */
#include "config.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/ahead.h"

#define STACK (256u * 1024) /* address space; a job takes a few KiB of it */

struct domu_ahead {
	pthread_t thread;
	pthread_mutex_t lock; /* of all below, and of a run's counts */
	pthread_cond_t work, ready;
	struct domu_ahead_run *run; /* NULL: none */
	bool busy, asleep, waited_for, stop;
};

/* With the lock held, which is given up meanwhile: the next job that nobody has begun. */
static void do_one(struct domu_ahead *a, struct domu_ahead_run *r, unsigned who)
{
	unsigned slot = r->claimed++ % r->slots;

	pthread_mutex_unlock(&a->lock);
	r->job(r->user, slot, who);
	pthread_mutex_lock(&a->lock);
	r->done[slot] = true;
}

static void *main_of(void *arg)
{
	struct domu_ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		if (a->run == NULL || a->run->claimed == a->run->put) {
			a->asleep = true;
			pthread_cond_wait(&a->work, &a->lock);
			continue;
		}
		a->asleep = false;
		a->busy = true;
		do_one(a, a->run, 1);
		a->busy = false;
		if (a->waited_for)
			pthread_cond_signal(&a->ready);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static bool second_processor(void)
{
	cpu_set_t set;

	/* More than the set has room for is an error, and more than one. */
	return sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
}

/* Signals are for the thread that was there before. */
static int start_thread(struct domu_ahead *a)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc = pthread_attr_init(&attr);

	if (rc != 0)
		return rc;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_attr_setstacksize(&attr, STACK);
	if (rc == 0)
		rc = pthread_create(&a->thread, &attr, main_of, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

struct domu_ahead *domu_ahead_start(void)
{
	struct domu_ahead *a = second_processor() ? calloc(1, sizeof *a) : NULL;

	if (a == NULL)
		return NULL;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->ready, NULL);
	if (start_thread(a) == 0)
		return a;
	free(a);
	return NULL;
}

void domu_ahead_stop(struct domu_ahead *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->ready);
	pthread_cond_destroy(&a->work);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* ---- a run -------------------------------------------------------------------------- */

void domu_ahead_begin(struct domu_ahead_run *r, struct domu_ahead *a, domu_ahead_fn job, void *user)
{
	*r = (struct domu_ahead_run){ .job = job, .user = user, .slots = 1 };
	if (a == NULL || a->run != NULL)
		return;
	r->thread = a;
	r->slots = DOMU_AHEAD_SLOTS;
	pthread_mutex_lock(&a->lock);
	a->run = r;
	pthread_mutex_unlock(&a->lock);
}

bool domu_ahead_room(const struct domu_ahead_run *r, unsigned *slot)
{
	*slot = r->put % r->slots;
	return r->put - r->taken < r->slots;
}

/* To wake the thread takes as long as a small job: only for several. */
void domu_ahead_put(struct domu_ahead_run *r)
{
	struct domu_ahead *a = r->thread;
	bool wake;

	if (a == NULL) {
		r->done[r->put++ % r->slots] = false;
		return;
	}
	pthread_mutex_lock(&a->lock);
	r->done[r->put++ % r->slots] = false;
	wake = a->asleep && r->put - r->claimed >= r->slots / 2;
	if (wake)
		a->asleep = false;
	pthread_mutex_unlock(&a->lock);
	if (wake)
		pthread_cond_signal(&a->work);
}

/* While the thread is at it, there may be later ones to do. */
static void wait_for(struct domu_ahead *a, struct domu_ahead_run *r, unsigned slot)
{
	pthread_mutex_lock(&a->lock);
	while (!r->done[slot]) {
		if (r->claimed != r->put) {
			do_one(a, r, 0);
			continue;
		}
		a->waited_for = true;
		pthread_cond_wait(&a->ready, &a->lock);
		a->waited_for = false;
	}
	pthread_mutex_unlock(&a->lock);
}

bool domu_ahead_take(struct domu_ahead_run *r, unsigned *slot)
{
	if (r->taken == r->put)
		return false;
	*slot = r->taken % r->slots;
	if (r->thread != NULL)
		wait_for(r->thread, r, *slot);
	else
		r->job(r->user, *slot, 0);
	return true;
}

void domu_ahead_free(struct domu_ahead_run *r)
{
	r->taken++;
}

void domu_ahead_end(struct domu_ahead_run *r)
{
	struct domu_ahead *a = r->thread;

	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	a->run = NULL;
	while (a->busy) {
		a->waited_for = true;
		pthread_cond_wait(&a->ready, &a->lock);
		a->waited_for = false;
	}
	pthread_mutex_unlock(&a->lock);
	r->thread = NULL;
}
