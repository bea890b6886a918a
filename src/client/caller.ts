/**
 * Errors show who called. Most errors are made long after their call, when a reply comes or a timer fires, and by then
 * the stack knows nothing of the caller. So each public call notes its stack before it does anything, and the error that
 * it ends with has that stack as its own. Noting takes about 2 µs; the text is written only if somebody reads it.
 */

/** A stack that was noted at a public call. */
export interface Caller {
  readonly stack?: string;
}

/** The errors of this package: only these get another stack. A signal's reason belongs to its user. */
export abstract class TracedError extends Error {}

/** The public call whose first, synchronous part is running. */
let current: Caller | undefined;
const traced = new WeakSet<TracedError>();

/** The caller of the public call that is just beginning; undefined: no such call is. */
export function currentCaller(): Caller | undefined {
  return current;
}

/** Notes the stack above a function that is running. */
export function callerOf(running: (...parameters: never[]) => unknown): Caller {
  if (current !== undefined) return current;
  const caller: Caller = {};
  Error.captureStackTrace(caller, running);
  return caller;
}

/** Gives the error the stack of the caller. @returns the error, or a copy if it has the stack of another caller */
export function withCaller(error: unknown, caller: Caller | undefined): unknown {
  if (caller === undefined || !(error instanceof TracedError)) return error;
  // One error can end many calls, such as that of a closed client.
  const own = traced.has(error) ? copyOf(error) : error;
  traced.add(own);
  let stack: string | undefined;
  Object.defineProperty(own, 'stack', {
    configurable: true,
    get: () => (stack ??= `${String(own)}${framesOf(caller)}`),
    set: (text: string) => {
      stack = text;
    },
  });
  return own;
}

/** Makes methods of a class give their errors the stack of their caller; called within one another, the outermost. */
export function showCallers<Type>(type: { readonly prototype: Type }, ...names: (keyof Type & string)[]): void {
  for (const name of names) {
    const method = type.prototype[name] as (...parameters: unknown[]) => unknown;
    const calling = function (this: unknown, ...parameters: unknown[]): unknown {
      if (current !== undefined) return method.apply(this, parameters);
      const caller = callerOf(calling);
      current = caller;
      try {
        const result = method.apply(this, parameters);
        if (!(result instanceof Promise)) return result;
        return result.catch((error: unknown) => {
          throw withCaller(error, caller);
        });
      } catch (error) {
        throw withCaller(error, caller);
      } finally {
        current = undefined;
      }
    };
    Object.defineProperty(calling, 'name', { value: name });
    Object.defineProperty(type.prototype, name, { value: calling, writable: true, configurable: true });
  }
}

function framesOf({ stack }: Caller): string {
  // Whoever has replaced how stacks are written may have left something that is no text.
  const start = typeof stack === 'string' ? stack.indexOf('\n    at ') : -1;
  return start < 0 ? '' : stack!.slice(start);
}

function copyOf(error: TracedError): TracedError {
  const { stack: _, ...own } = Object.getOwnPropertyDescriptors(error);
  const copy = Reflect.construct(Error, [], error.constructor as new () => TracedError);
  return Object.defineProperties(copy, own);
}
