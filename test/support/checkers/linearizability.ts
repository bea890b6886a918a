/**
 * Is there any order of these operations, each at some moment between its question and its answer, in which a single
 * copy would have answered just so? The search of Wing and Gong with Lowe's memory of what was tried, as in Porcupine.
 * It trusts no revision and no clock but the clients' own, which makes it an independent judge of samples: it is
 * exponential in what overlaps.
 *
 * What was never answered may happen at any later time, or never, so it ends at infinity. The search goes through the
 * list of calls and returns in the order of time:
 *
 *   call     nothing before it has returned without having happened: try it here, if the model agrees and this set of
 *            operations was not tried with this state before; then start over from the first that is left
 *   return   of an operation that has not happened: this way leads nowhere, take the last one back
 *
 * Every key is a search of its own, because what is linearizable for each key is so as a whole. A budget of steps
 * bounds each: where it runs out, the verdict is `undecided`, never `ok`.
 */

export interface SequentialModel<State, Input, Output> {
  readonly init: State;
  /** The state after it; undefined if it cannot have given this output. Without an output, anything goes. */
  readonly step: (
    state: State,
    input: Input,
    output: Output | undefined,
    call: TimedCall<Input, Output>,
  ) => State | undefined;
  /** Equal states have equal texts. */
  readonly hash: (state: State) => string;
}

export interface TimedCall<Input, Output> {
  /** How messages name it. */
  readonly id: number | string;
  /** What it is about: calls with different keys do not see each other. */
  readonly key: string;
  readonly input: Input;
  readonly sentAt: number;
  /** Absent: never answered. */
  readonly output?: Output;
  readonly answeredAt?: number;
}

export type Verdict =
  | { readonly verdict: 'ok'; readonly steps: number }
  | {
      readonly verdict: 'violation' | 'undecided';
      readonly steps: number;
      readonly key: string;
      readonly message: string;
    };

export interface SearchOptions {
  /** For each key. */
  readonly stepsMax?: number;
}

export function checkLinearizable<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  calls: readonly TimedCall<Input, Output>[],
  { stepsMax = 1_000_000 }: SearchOptions = {},
): Verdict {
  let steps = 0;
  let undecided: Verdict | undefined;
  for (const [key, group] of Map.groupBy(calls, (call) => call.key)) {
    const verdict = searchKey(model, key, group, stepsMax);
    steps += verdict.steps;
    if (verdict.verdict === 'violation') return { ...verdict, steps };
    if (verdict.verdict === 'undecided') undecided ??= verdict;
  }
  return { ...(undecided ?? { verdict: 'ok' }), steps };
}

/** An event of the list: a call with its return, or a return. */
interface Node<Input, Output> {
  readonly index: number;
  readonly call: TimedCall<Input, Output>;
  /** Of a call that was answered. */
  readonly match: Node<Input, Output> | undefined;
  readonly isCall: boolean;
  prev: Node<Input, Output>;
  next: Node<Input, Output> | undefined;
}

function searchKey<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  key: string,
  calls: readonly TimedCall<Input, Output>[],
  stepsMax: number,
): Verdict {
  const head = listOf(calls);
  let open = calls.filter(({ answeredAt }) => answeredAt !== undefined).length;
  let state = model.init;
  const happened = new Uint32Array((calls.length + 31) >> 5);
  const tried = new Set<string>();
  const stack: { readonly node: Node<Input, Output>; readonly state: State }[] = [];
  let longest = 0;
  let stuckAt: TimedCall<Input, Output> | undefined;
  let steps = 0;
  let node = head.next;
  while (open > 0) {
    if (steps >= stepsMax) {
      const message = `Undecided after ${steps} steps over ${calls.length} operations on ${JSON.stringify(key)}.`;
      return { verdict: 'undecided', steps, key, message };
    }
    steps += 1;
    if (node?.isCall) {
      const after = model.step(state, node.call.input, node.call.output, node.call);
      if (after !== undefined && isNew(tried, happened, node.index, model.hash(after))) {
        stack.push({ node, state });
        state = after;
        flip(happened, node.index);
        if (node.match !== undefined) open -= 1;
        lift(node);
        node = head.next;
      } else {
        node = node.next;
      }
      continue;
    }
    // A return whose call has not happened, or nothing is left to try.
    if (node !== undefined && stack.length >= longest) {
      longest = stack.length;
      stuckAt = node.call;
    }
    const last = stack.pop();
    if (last === undefined) return { verdict: 'violation', steps, key, message: explain(key, calls, stuckAt, longest) };
    state = last.state;
    flip(happened, last.node.index);
    if (last.node.match !== undefined) open += 1;
    unlift(last.node);
    node = last.node.next;
  }
  return { verdict: 'ok', steps };
}

/** In the order of time. At one moment calls come before returns: they may have been in either order. */
function listOf<Input, Output>(calls: readonly TimedCall<Input, Output>[]): Node<Input, Output> {
  const events: { readonly at: number; readonly index: number; readonly isCall: boolean }[] = [];
  calls.forEach(({ sentAt, answeredAt }, index) => {
    events.push({ at: sentAt, index, isCall: true });
    if (answeredAt !== undefined) events.push({ at: answeredAt, index, isCall: false });
  });
  events.sort((a, b) => a.at - b.at || Number(b.isCall) - Number(a.isCall) || a.index - b.index);
  const returns = new Map<number, Node<Input, Output>>();
  const head = { index: -1, isCall: false, match: undefined, next: undefined } as unknown as Node<Input, Output>;
  let first: Node<Input, Output> | undefined;
  for (const { index, isCall } of events.toReversed()) {
    const match = isCall ? returns.get(index) : undefined;
    const node: Node<Input, Output> = { index, call: calls[index]!, match, isCall, prev: head, next: first };
    if (!isCall) returns.set(index, node);
    if (first !== undefined) first.prev = node;
    first = node;
  }
  head.next = first;
  return head;
}

/** Takes a call and its return out of the list. */
function lift<Input, Output>(node: Node<Input, Output>): void {
  node.prev.next = node.next;
  if (node.next !== undefined) node.next.prev = node.prev;
  const { match } = node;
  if (match === undefined) return;
  match.prev.next = match.next;
  if (match.next !== undefined) match.next.prev = match.prev;
}

function unlift<Input, Output>(node: Node<Input, Output>): void {
  const { match } = node;
  if (match !== undefined) {
    match.prev.next = match;
    if (match.next !== undefined) match.next.prev = match;
  }
  node.prev.next = node;
  if (node.next !== undefined) node.next.prev = node;
}

function isNew(tried: Set<string>, happened: Uint32Array, index: number, hash: string): boolean {
  flip(happened, index);
  const name = `${happened.join(',')}|${hash}`;
  flip(happened, index);
  if (tried.has(name)) return false;
  tried.add(name);
  return true;
}

function flip(bits: Uint32Array, index: number): void {
  bits[index >> 5]! ^= 1 << (index & 31);
}

function explain<Input, Output>(
  key: string,
  calls: readonly TimedCall<Input, Output>[],
  stuckAt: TimedCall<Input, Output> | undefined,
  longest: number,
): string {
  const many = `No order of the ${calls.length} operations on ${JSON.stringify(key)} explains their answers.`;
  if (stuckAt === undefined) return many;
  const { id, input, output, sentAt, answeredAt } = stuckAt;
  const what = `${JSON.stringify(input)} → ${JSON.stringify(output)}`;
  return `${many} The longest that does has ${longest}, and never comes to operation ${id} (${what}, ${sentAt}–${answeredAt}).`;
}
