/* zygotes.c - see zygotes.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/zygotes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/language.h"
#include "broker/meter.h"
#include "broker/seccomp_notify.h"
#include "broker/spawn.h"
#include "broker/warden_link.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"

#define REPORT_LIMIT_US 30000000u /* for a zygote to report */
#define RETRY_FIRST_US 20000u
#define RETRY_MOST_US 5000000u
#define STEADY_US 10000000u         /* a process that has served so long has not failed at its start */
#define BUSY_POLL_US 5000000u       /* from one look at a busy language, that is to sleep, to the next */
#define FALLBACK_LIMIT_US 60000000u /* of spares in a zygote's place, before zygotes are tried again */

static uint64_t
backoff_us(unsigned failures)
{
	uint64_t wait_us = (uint64_t)RETRY_FIRST_US << (failures < 8 ? failures : 8);

	return wait_us < RETRY_MOST_US ? wait_us : RETRY_MOST_US;
}

/* One line a second for each language: a process that dies at once is started again and again. */
static void
log_death(struct language *language, const char *process, int wait_status)
{
	log_limit_warn(&language->deaths, "%s: a %s died (wait status 0x%x); another is started", language->config->name, process,
	    (unsigned)wait_status);
}

/* ---- zygotes that come up --------------------------------------------------------------------------------------- */

/*
 * Whether the language can do without zygotes: its programs can be run by interpreters that are
 * started ahead.
 */
static bool
can_fall_back(const struct language *language)
{
	return language->start == START_ZYGOTE && language->config->run.count > 0;
}

static void
fall_back(struct broker *broker, struct language *language, const char *why)
{
	log_warn("%s: programs are run by interpreters that are started ahead, one for each: %s", language->config->name, why);
	language->start = START_SPARE;
	language->fell_back_us = clock_us();
	snprintf(language->shortfall, sizeof language->shortfall, "%s", why);
	loop_wake_at(&broker->loop, language->fell_back_us + FALLBACK_LIMIT_US);
}

/* None serves, and none will for the reason `why`. */
static void
give_up(struct broker *broker, struct language *language, const char *why)
{
	if (language_serves(language))
		return;
	if (can_fall_back(language))
		fall_back(broker, language, why);
	else
		language_event(broker, language, LANGUAGE_FAILED, why);
}

/*
 * One more process has ended or could not be started. That may be an accident: somebody killed it.
 * Many in a row are not.
 */
static void
count_failure(struct broker *broker, struct zygote *zygote)
{
	char why[PROTO_TEXT_SIZE];

	if (++zygote->failures < LANGUAGE_DEATHS_MAX)
		return;
	snprintf(why, sizeof why, "its zygotes end at their start (%u in a row); the log may say more", zygote->failures);
	give_up(broker, zygote->language, why);
}

/* A process that was to become a zygote has ended, or could not be started. */
static void
start_failed(struct broker *broker, struct zygote *zygote)
{
	loop_unwatch(&broker->loop, &zygote->report);
	zygote->starting_pid = 0;
	zygote->retry_us = clock_us() + backoff_us(zygote->failures);
	loop_wake_at(&broker->loop, zygote->retry_us);
	count_failure(broker, zygote);
}

/* It serves from now on, as soon as it has passed the self-test. */
static void
take_over(struct zygote *zygote)
{
	zygote->pid = zygote->starting_pid;
	zygote->starting_pid = 0;
	zygote->serves_us = clock_us();
	zygote->forks = 0;
	zygote->is_verified = false;
	zygote->test_part = 0;
}

static void
reported(void *context, struct watch *watch, uint32_t events)
{
	struct broker *broker = context;
	struct zygote *zygote = watch_owner(watch, struct zygote, report);
	struct language *language = zygote->language;
	struct warden_request request = { .kind = WARDEN_ZYGOTE, .zygote = zygote->number };
	struct zygote_report report = { .error = 1 };
	size_t count;
	int listener_fd = -1;
	ssize_t n = fdpass_recv(watch->fd, &report, sizeof report, &listener_fd, 1, &count, NULL);

	(void)events;
	if (count == 1)
		seccomp_notify_listen(broker, zygote, listener_fd);
	if (n != (ssize_t)sizeof report) {
		log_warn("%s: a zygote could not start: its interpreter ended at its start; the log may say more",
		    language->config->name);
	} else if (report.error != 0) {
		report.text[sizeof report.text - 1] = '\0';
		log_warn("%s: a zygote could not start: %s", language->config->name, report.text);
		give_up(broker, language, report.text);
	} else if (warden_link_send(language, &request, &watch->fd, 1) != 0) {
		log_warn("%s: a zygote could not start: hand it to the warden: %s", language->config->name, strerror(errno));
	} else {
		meter_zygote_follows(broker, zygote);
		take_over(zygote);
		report.version[sizeof report.version - 1] = '\0';
		if (report.version[0] != '\0')
			snprintf(language->version, sizeof language->version, "%s", report.version);
		language_event(broker, language, LANGUAGE_REPORTED, NULL);
		loop_dispatch(&broker->loop);
	}
	/*
	 * A zygote that was not taken over ends when its socket closes. Its exit comes next, and
	 * with it another try.
	 */
	loop_unwatch(&broker->loop, watch);
}

static void
start_zygote(struct broker *broker, struct zygote *zygote)
{
	int fd;
	pid_t pid = spawn_zygote(broker, zygote, &fd);

	if (pid < 0 || loop_watch(&broker->loop, &zygote->report, fd, reported) != 0) {
		log_warn("%s: start a zygote: %s", zygote->language->config->name, strerror(errno));
		if (pid >= 0)
			close(fd);
		start_failed(broker, zygote);
		return;
	}
	zygote->starting_pid = pid;
	zygote->deadline_us = clock_us() + REPORT_LIMIT_US;
}

/* Take down its cells that wait for a run. */
static void
give_up_armed(struct broker *broker, struct language *language)
{
	for (uint32_t w = 0; w < LANGUAGE_POOLS; w++) {
		while (language->pool[w].armed != NULL)
			cell_give_up(broker, language->pool[w].armed);
	}
}

/* ---- deaths ----------------------------------------------------------------------------------------------------- */

static void
zygote_died(struct broker *broker, struct zygote *zygote, int wait_status)
{
	struct language *language = zygote->language;
	uint64_t now_us = clock_us();

	log_death(language, "zygote", wait_status);
	meter_zygote_died(broker, language);
	zygote->pid = 0;
	zygote->is_verified = false;
	if (now_us >= zygote->serves_us + STEADY_US)
		zygote->failures = 0;
	/* The first one is replaced at once. */
	zygote->retry_us = zygote->failures == 0 ? now_us : now_us + backoff_us(zygote->failures);
	loop_wake_at(&broker->loop, zygote->retry_us);
	if (!language_serves(language))
		language_event(broker, language, LANGUAGE_LOST, NULL);
	count_failure(broker, zygote);
}

static void
warden_died(struct broker *broker, struct language *language, int wait_status)
{
	struct warden *warden = &language->warden;
	uint64_t now_us = clock_us();

	log_death(language, "warden", wait_status);
	meter_warden_died(broker, language);
	close(warden->sock);
	warden->sock = -1;
	warden->pid = 0;
	if (now_us >= warden->serves_us + STEADY_US)
		warden->failures = 0;
	warden->retry_us = now_us + backoff_us(warden->failures++);
	loop_wake_at(&broker->loop, warden->retry_us);
	if (warden->failures == LANGUAGE_DEATHS_MAX && !language_serves(language))
		language_event(broker, language, LANGUAGE_FAILED,
		    "its wardens end at their start (3 in a row); the log may say more");
	/*
	 * Nobody has requests for its zygotes any more. They may not notice: an init that the
	 * warden had just made may not have died with it, and keeps open what the warden had open.
	 */
	for (size_t i = 0; i < language->zygote_count; i++) {
		if (language->zygote[i].pid != 0)
			kill(language->zygote[i].pid, SIGKILL);
	}
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		if (broker->cell[i].language == language)
			broker->cell[i].is_torn = true;
	}
	/* A run that comes now would be lost with them. */
	give_up_armed(broker, language);
}

bool
zygotes_child_exited(struct broker *broker, pid_t pid, int wait_status)
{
	for (size_t l = 0; l < broker->language_count; l++) {
		struct language *language = &broker->language[l];

		if (language->warden.pid == pid) {
			warden_died(broker, language, wait_status);
			return true;
		}
		for (size_t z = 0; z < language->zygote_count; z++) {
			if (language->zygote[z].pid == pid) {
				zygote_died(broker, &language->zygote[z], wait_status);
				return true;
			}
			if (language->zygote[z].starting_pid == pid) {
				start_failed(broker, &language->zygote[z]);
				return true;
			}
		}
	}
	return false;
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

/* Returns whether the warden is up. If not, *retry_us says when to look again. */
static bool
keep_warden(struct broker *broker, struct language *language, uint64_t now_us, uint64_t *retry_us)
{
	struct warden *warden = &language->warden;

	if (warden->sock >= 0)
		return true;
	if (now_us >= warden->retry_us) {
		warden->pid = spawn_warden(broker, language, &warden->sock);
		if (warden->pid > 0) {
			warden->serves_us = now_us;
			loop_dispatch(&broker->loop);
			return true;
		}
		log_warn("%s: start the warden: %s", language->config->name, strerror(errno));
		warden->pid = 0;
		warden->retry_us = now_us + backoff_us(warden->failures++);
	}
	*retry_us = warden->retry_us;
	return false;
}

/* Whether it has made its number of guests. */
static bool
is_used_up(const struct zygote *zygote)
{
	return zygote->pid != 0 && zygote->forks >= zygote->language->config->recycle_runs;
}

/* Whether a process is to be started in this place of the pair, rather than in the other one. */
static bool
is_wanted_here(const struct zygote *zygote)
{
	const struct zygote *other = zygote->other;

	if (!zygote->language->pool[zygote->pool].is_wanted || zygote->pid != 0 || other->starting_pid != 0)
		return false;
	return other->pid == 0 ? zygote->number < other->number : is_used_up(other);
}

/*
 * The other one of the pair has taken over: the warden closes its connection to this one, which
 * ends when it has carried out its last requests. If that cannot be sent, it serves on until the
 * next look.
 */
static void
retire(struct broker *broker, struct zygote *zygote)
{
	const struct warden_request request = { .kind = WARDEN_ZYGOTE, .zygote = zygote->number };

	if (warden_link_send(zygote->language, &request, NULL, 0) != 0)
		return;
	meter_zygote_replaced(broker, zygote->language);
	zygote->pid = 0;
	zygote->is_verified = false;
	zygote->failures = 0;
	zygote->retry_us = 0;
}

/* Returns when to look again. */
static uint64_t
keep_zygote(struct broker *broker, struct zygote *zygote, uint64_t now_us)
{
	bool is_wanted;

	if (is_used_up(zygote) && zygote->other->pid != 0 && zygote->other->is_verified)
		retire(broker, zygote);
	is_wanted = is_wanted_here(zygote);
	if (zygote->starting_pid != 0 && now_us >= zygote->deadline_us) {
		log_warn("%s: a zygote did not start in time", zygote->language->config->name);
		kill(zygote->starting_pid, SIGKILL);
		zygote->deadline_us = NEVER_US;
	}
	if (zygote->starting_pid == 0 && is_wanted && now_us >= zygote->retry_us)
		start_zygote(broker, zygote);
	if (zygote->starting_pid != 0)
		return zygote->deadline_us;
	if (zygote->pid != 0 && !zygote->is_verified && now_us < zygote->test_us)
		return zygote->test_us;
	return is_wanted ? zygote->retry_us : NEVER_US;
}

/* Start all of a language that is down and due. Returns when to look again. */
static uint64_t
keep_up(struct broker *broker, struct language *language, uint64_t now_us)
{
	uint64_t next_us = NEVER_US;

	if (!keep_warden(broker, language, now_us, &next_us))
		return next_us;
	for (size_t w = 0; w < LANGUAGE_POOLS; w++) {
		uint64_t retry_us = language->pool[w].retry_us;

		if (retry_us == 0)
			continue;
		if (retry_us > now_us)
			next_us = earlier_us(next_us, retry_us);
		else
			loop_dispatch(&broker->loop);
	}
	for (size_t z = 0; z < language->zygote_count; z++) {
		next_us = earlier_us(next_us, keep_zygote(broker, &language->zygote[z], now_us));
		if (language->zygote[z].pid != 0 && !language->zygote[z].is_verified)
			loop_dispatch(&broker->loop);
	}
	return next_us;
}

/* Whether something of the language has to come to its end before it can sleep. */
static bool
is_busy(const struct broker *broker, const struct language *language)
{
	if (language->compiler.asking != NULL || language->compiler.answer.fd >= 0)
		return true;
	for (size_t z = 0; z < language->zygote_count; z++) {
		if (language->zygote[z].starting_pid != 0)
			return true;
	}
	for (uint32_t i = 0; i < broker->config->cells; i++) {
		if (broker->cell[i].language == language && cell_is_busy(&broker->cell[i]))
			return true;
	}
	return language->waiting > 0;
}

/*
 * When an awake language is to sleep: after its time without a run, or to try zygotes again where
 * spares serve.
 */
static uint64_t
sleep_at_us(const struct language *language)
{
	uint64_t at_us = language->config->idle_s != 0 ? language->used_us + language->config->idle_s * 1000000u : NEVER_US;

	if (language->start != language->config->start)
		at_us = earlier_us(at_us, language->fell_back_us + FALLBACK_LIMIT_US);
	return at_us;
}

/* Returns when to look again. */
static uint64_t
sleep_if_idle(struct broker *broker, struct language *language, uint64_t now_us)
{
	uint64_t at_us = sleep_at_us(language);

	if (now_us < at_us)
		return at_us;
	if (is_busy(broker, language))
		return now_us + BUSY_POLL_US;
	give_up_armed(broker, language);
	language_sleep(broker, language);
	if (language->config->idle_s == 0)
		language_touch(broker, language);
	return NEVER_US;
}

uint64_t
zygotes_keep_time(struct broker *broker, uint64_t now_us)
{
	uint64_t next_us = NEVER_US;

	for (size_t l = 0; l < broker->language_count; l++) {
		struct language *language = &broker->language[l];

		if (!language_is_awake(language))
			continue;
		next_us = earlier_us(next_us, keep_up(broker, language, now_us));
		next_us = earlier_us(next_us, sleep_if_idle(broker, language, now_us));
	}
	return next_us;
}

void
zygotes_wake_one(struct broker *broker)
{
	struct language *first = NULL;

	for (size_t l = 0; l < broker->language_count; l++) {
		struct language *language = &broker->language[l];

		if (language_is_awake(language))
			return;
		if (first == NULL && language->state == LANGUAGE_ASLEEP)
			first = language;
	}
	if (first != NULL)
		language_wake(broker, first, language_pool(first, 0, 0, 0));
}
