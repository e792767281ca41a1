/* run_wait.c - see run_wait.h. Runs in the broker. */
#include "broker/run_wait.h"

#include "broker/broker.h"
#include "broker/pace.h"
#include "broker/run_queue.h"

#define SURE_NUM 3u /* a run is refused early if it would take 3/2 of its time: the pace is an estimate */
#define SURE_DEN 2u

uint32_t
run_wait_running(const struct broker *broker)
{
	return broker->taken + broker->queue.admitted;
}

/*
 * How long a run waits that is number `position` of its key, from 1; 0: unknown. The key's own pace
 * says it best. Else it is estimated from that of all: it cannot be worse than the key's share of
 * it, nor than if all came before.
 */
static uint64_t
expected_us(const struct broker *broker, const struct key_account *account, uint64_t position, uint64_t now_us)
{
	const struct run_queue *queue = &broker->queue;
	uint64_t others, before;

	if (pace_is_known(&account->pace, now_us, account->running))
		return pace_time_us(&account->pace, now_us, position);
	if (!pace_is_known(&queue->pace, now_us, run_wait_running(broker)))
		return 0;
	others = queue->weights - account->counted_weight;
	before = position * (others + account->share.weight) / account->share.weight;
	if (before > queue->listed + position - account->listed)
		before = queue->listed + position - account->listed;
	return pace_time_us(&queue->pace, now_us, before);
}

bool
run_wait_is_hopeless(const struct broker *broker, const struct run *run, uint64_t position, uint64_t now_us)
{
	uint64_t left_us = run->deadline_us > now_us ? run->deadline_us - now_us : 0;

	return expected_us(broker, run->account, position, now_us) > left_us * SURE_NUM / SURE_DEN;
}

uint32_t
run_wait_retry_ms(const struct broker *broker, const struct key_account *account, uint64_t now_us)
{
	uint64_t ms = expected_us(broker, account, account->listed / 2 + 1, now_us) / 1000;

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}
