/**
 * What requests cost in memory, for the budgets in bytes. Each is an estimate from above that was measured as resident
 * memory of a whole server, divided by the number of requests: `node test/load-faults/memory-costs.ts` measures again.
 * They include what lies in the front end (request, reply, exchange, socket buffers), on the way, and in the shard.
 */

/**
 * A request without its body: parsed head, reply, exchange, place in the table, waiter with timer. Measured: 8.6 kB. (Its
 * connection takes 16 kB more, and is bounded by the number of open files.)
 */
export const requestBytes = 10 * 1024;
/**
 * A body lies in the message to its shard, and in the shard's heap; until a collection, the front end's text does too.
 * Measured: 2.06 bytes a byte.
 */
export const bodyCopies = 2;
/** One key of a watch: its text, its entry in the front end, and in the shard. Measured: 1.4 kB. */
export const watchedKeyBytes = 1536;
/** A reader of history: two buffers of the journal, a page of events, and the largest commit on top of it. */
export const historyReaderBytes = 16 * 1024 * 1024;
