/**
 * An async generator that can be left while it waits. A plain one puts `return` in a queue behind a pending `next`; a
 * watch of something that never changes would never end. Here `return` and `throw` fire the signal of what waits. The
 * pending `next` then resolves as done.
 */
type Generator<Item, Last> = AsyncGenerator<Item, Last, undefined>;

/** @param make stops waiting when the signal fires: the caller's has fired, or the generator is left */
export function leavable<Item, Last>(
  caller: AbortSignal | undefined,
  make: (signal: AbortSignal) => Generator<Item, Last>,
): Generator<Item, Last> {
  const stop = new AbortController();
  const abort = (): void => stop.abort(caller?.reason);
  const inner = make(stop.signal);
  const done = { done: true, value: undefined } as IteratorReturnResult<never>;
  let begun = false;
  let left = false;
  const begin = (): void => {
    if (begun) return;
    begun = true;
    if (caller?.aborted) abort();
    else caller?.addEventListener('abort', abort, { once: true });
  };
  const end = (): void => caller?.removeEventListener('abort', abort);
  const leave = async (value: Last | PromiseLike<Last>): Promise<IteratorResult<Item, Last>> => {
    left = true;
    end();
    stop.abort(new Error('the loop was left'));
    return await inner.return(value);
  };
  return {
    async next() {
      begin();
      try {
        const result = await inner.next();
        if (result.done === true) end();
        return result;
      } catch (error) {
        end();
        if (left) return done;
        throw error;
      }
    },
    return: leave,
    async throw(error: unknown) {
      await leave(undefined as Last);
      throw error;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await leave(undefined as Last);
    },
  };
}
