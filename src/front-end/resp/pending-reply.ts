/** One command whose reply has not been written: the `ReplySink` of the dispatcher. */
import { resultsIn } from '../../protocol/operations/string-op.ts';
import { isFailure, type Reply } from '../../protocol/replies.ts';
import type { Cancelable, ReplySink } from '../../router/dispatcher.ts';
import { statusOf } from '../http/status.ts';
import type { Operation } from '../request-metrics.ts';
import type { CommandPlan, OpsPlan } from './command.ts';
import { failedReplyText } from './resp-error.ts';
import { errorText, type Writer } from './writer.ts';

/** Where replies go, in the order of their commands. */
export interface ReplyOrder {
  readonly disconnected: boolean;
  answered(pending: PendingReply, status: number): void;
}

export class PendingReply implements ReplySink {
  /** Absent: not answered. */
  text: string | undefined;
  /** As the dispatcher counts it, with the arguments. */
  readonly bytes: number;
  readonly operation: Operation;
  readonly startedAt: number;
  /** The reply is not written (CLIENT REPLY). */
  readonly silent: boolean;
  cancelable: Cancelable | undefined;
  /** It waits, or takes a lock: nothing for a client that has hung up. */
  leavesWithClient = false;
  /** What is no reply, and is written behind this one. */
  after = '';
  written = false;
  readonly #order: ReplyOrder;
  readonly #writer: Writer;
  #plan: OpsPlan | CommandPlan | undefined;

  constructor(
    order: ReplyOrder,
    writer: Writer,
    of: Pick<PendingReply, 'bytes' | 'operation' | 'startedAt' | 'silent'>,
  ) {
    this.#order = order;
    this.#writer = writer;
    this.bytes = of.bytes;
    this.operation = of.operation;
    this.startedAt = of.startedAt;
    this.silent = of.silent;
  }

  get disconnected(): boolean {
    return this.#order.disconnected;
  }

  /** The reply of the server will be written so. */
  expect(plan: OpsPlan | CommandPlan): void {
    this.#plan = plan;
  }

  deliver(reply: Reply): void {
    const plan = this.#plan!;
    const { outcome } = reply;
    if (isFailure(outcome)) {
      const text = plan.failed?.(outcome, this.#writer) ?? failedReplyText(reply);
      return this.finish(text, statusOf(outcome));
    }
    let text: string;
    try {
      text =
        plan.kind === 'ops' ? plan.write(resultsOf(plan, reply), this.#writer) : plan.write(reply.body, this.#writer);
    } catch (error) {
      // An import stores replies as it is given them.
      if (reply.replayed !== true) throw error;
      return this.finish(errorText('ERR the reply that was imported under this id cannot be read'), 409);
    }
    this.finish(text);
  }

  /** @param status under which the command is counted, as over HTTP */
  finish(text: string, status = 200): void {
    if (this.text !== undefined) return;
    this.text = text;
    this.#plan = undefined;
    this.#order.answered(this, status);
  }
}

function resultsOf({ ops }: OpsPlan, { body }: Reply): readonly string[] {
  return ops.length === 0 ? [] : resultsIn(body, ops.length);
}
