/**
 * What requests cost in memory, for the budgets in bytes. Each is an estimate from above that was measured as resident
 * memory of a whole server, divided by the number of requests: `node test/load-faults/memory-costs.ts` measures again.
 * They include what lies in the front end (request, reply, exchange, socket buffers), on the way, and in the shard.
 */

/** A request without its body: parsed head, reply, exchange, place in the table, waiter with timer. */
export const requestBytes = 8 * 1024;
/** A body lies in the message to its shard, and in the shard's heap. Until a collection, the front end's text does too. */
export const bodyCopies = 2;
/** One key of a watch: its text, its entry in the front end, and in the shard. */
export const watchedKeyBytes = 1024;
/** A reader of history: two buffers of the journal, a page of events, and the largest commit on top of it. */
export const historyReaderBytes = 16 * 1024 * 1024;
