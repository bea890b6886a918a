/**
 * One client. Its commands are begun in the order in which they come, and their replies leave in that order.
 *
 *   bytes ─► reader ─► refused, queued (MULTI) or begun ─► shards ─► reply waits for those before it ─► written
 *
 * A command is not begun while one before it takes several steps or waits (for a lock, for a change), while 1,024 are in
 * flight, or while the client does not read. A client that waits is read on, so that its hang-up takes it out of every
 * queue at once; but only so much of what it sends meanwhile is kept.
 */
import type { Socket } from 'node:net';
import { mayWait } from '../../protocol/operations/operations.ts';
import { Refusal } from '../../protocol/refusal.ts';
import { RequestLoads } from '../../router/request-loads.ts';
import { openAccess, requireScopes, type Access } from '../access.ts';
import { audited } from '../audited.ts';
import { Disconnects } from '../http/sockets/disconnects.ts';
import { onSocketClose } from '../http/sockets/on-socket-close.ts';
import { readerLimits } from './admission.ts';
import { Client, type ClientConnection } from './client.ts';
import { checkCommand, checkService, checkSize } from './checks.ts';
import { operationOfCommand } from '../request-metrics.ts';
import type { Plan, RespCommandSpec, RespContext, StepsPlan } from './command.ts';
import { opsBatch, takesLease } from './ops-batch.ts';
import { Output } from './output.ts';
import { PendingReply, type ReplyOrder } from './pending-reply.ts';
import { CommandReader, ProtocolError, type RespCommand } from './reader.ts';
import { failureText, RespError } from './resp-error.ts';
import { errorText } from './writer.ts';

const inFlightMax = 1024;
/** Commands that are begun before other connections have a turn. */
const turnCommands = 128;
/** Of what comes behind a command that waits. */
const keptBytesMax = 64 * 1024;

export class RespConnection implements ClientConnection, ReplyOrder {
  readonly client: Client;
  readonly #context: RespContext;
  readonly #socket: Socket;
  readonly #reader: CommandReader;
  readonly output: Output;
  #pending: PendingReply[] = [];
  #head = 0;
  /** Takes several steps, or waits; nothing is begun behind it. */
  #blocking: PendingReply | undefined;
  #waits = false;
  /** No more is begun. */
  #ends = false;
  /** The client has closed its half. */
  #inputEnded = false;
  /** There is no further command in what has arrived. */
  #starved = true;
  #gone = false;
  /** `#beginCommands` will run, or runs. */
  #scheduled = false;
  readonly #advance = (): void => this.#beginCommands();

  constructor(context: RespContext, socket: Socket) {
    this.#context = context;
    this.#socket = socket;
    this.client = new Client(context, this, `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`);
    this.#reader = new CommandReader(readerLimits(context.limits, this.client.access));
    this.output = new Output({
      socket,
      unread: context.unread,
      bytesMax: context.unreadBytesMax,
      account: () => this.client.owner,
      turnEnd: context.turnEnd,
      onFree: () => this.#schedule(),
      sliceSoon: (write) => setImmediate(() => context.turns.run(this.client.owner, write)),
    });
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.#ended());
    socket.on('error', () => socket.destroy());
    onSocketClose(socket, () => this.#closed());
  }

  get disconnected(): boolean {
    return this.#gone || this.#socket.destroyed;
  }

  /** The server goes down: closes the connection after the replies to what is in flight. */
  drain(): void {
    this.#ends = true;
    this.#closeIfDone();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** What has arrived in part holds too many bytes of all clients, and this client's for longest. */
  giveUp(): void {
    this.fail('TRYAGAIN slow requests hold too many bytes (limits.arriving_bytes_max), and this one was the oldest');
  }

  push(text: string): void {
    const last = this.#pending.at(-1) === this.#blocking && this.#waits ? this.#pending.at(-2) : this.#pending.at(-1);
    if (last === undefined || last.written) this.output.write(text);
    else last.after += text;
  }

  end(): void {
    this.#ends = true;
  }

  onAccess(access: Access | undefined): void {
    this.#reader.limits = readerLimits(this.#context.limits, access);
  }

  answered(pending: PendingReply, status: number): void {
    const { metrics } = this.#context;
    metrics.count(pending.operation, status, pending.startedAt);
    if (this.#blocking === pending) {
      this.#blocking = undefined;
      this.#waits = false;
    }
    this.#writeReplies();
    this.#schedule();
  }

  #writeReplies(): void {
    let text = '';
    for (; this.#head < this.#pending.length; this.#head += 1) {
      const pending = this.#pending[this.#head]!;
      if (pending.text === undefined) break;
      if (!pending.silent) text += pending.text;
      text += pending.after;
      pending.written = true;
    }
    if (this.#head === this.#pending.length) {
      this.#pending = [];
      this.#head = 0;
    } else if (this.#head >= inFlightMax) {
      this.#pending = this.#pending.slice(this.#head);
      this.#head = 0;
    }
    this.output.write(text);
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    const isOver = this.#ends || (this.#inputEnded && this.#starved);
    if (isOver && this.#head === this.#pending.length) this.output.close();
  }

  #take(chunk: Buffer): void {
    if (this.#ends) return;
    this.#reader.push(chunk);
    this.#starved = false;
    if (this.#waits && this.#reader.unreadBytes > keptBytesMax)
      return this.fail(`ERR more than ${keptBytesMax} bytes came behind a command that waits`);
    this.#schedule();
    if (this.#isHeldUp && !this.#waits && this.#reader.unreadBytes > keptBytesMax) this.#socket.pause();
    this.#countKept();
  }

  get #isHeldUp(): boolean {
    return this.#blocking !== undefined || this.output.lags || this.#pending.length - this.#head >= inFlightMax;
  }

  /** Begins what has arrived, when it is the account's turn. */
  #schedule(): void {
    if (this.#scheduled || this.#starved || this.#gone || this.#ends || this.#isHeldUp) return;
    this.#scheduled = true;
    this.#context.turns.run(this.client.owner, this.#advance);
  }

  #beginCommands(): void {
    try {
      for (let begun = 0; begun < turnCommands && !this.#isHeldUp && !this.#ends && !this.disconnected; begun += 1) {
        const command = this.#reader.next();
        this.#starved = command === undefined;
        if (command === undefined) break;
        this.#begin(command);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (error.silent) return void this.#socket.destroy();
      return this.fail(`ERR Protocol error: ${error.message}`);
    }
    this.#scheduled = false;
    this.#countKept();
    if (!this.#isHeldUp && this.#socket.isPaused()) this.#socket.resume();
    this.#schedule();
    this.#closeIfDone();
  }

  #countKept(): void {
    const kept = this.#reader.keptBytes + (this.client.state.queue?.bytes ?? 0);
    const { arriving } = this.#context;
    if (kept > 0 && !this.disconnected) arriving.hold(this, kept, this.client.owner);
    else arriving.release(this);
  }

  #begin(args: RespCommand): void {
    const { writer, state } = this.client;
    const context = this.#context;
    const name = args[0]!.toLowerCase();
    const spec = context.commands.get(name);
    let bytes = 0;
    for (const argument of args) bytes += argument.length;
    const pending = new PendingReply(this, writer, {
      operation: operationOfCommand(spec?.name),
      startedAt: context.metrics.now(),
      bytes: RequestLoads.bytesOf(bytes),
      silent: state.replies !== 'on',
    });
    if (state.replies === 'skip') state.replies = 'on';
    this.#pending.push(pending);
    try {
      this.#execute(args, spec, pending);
    } catch (error) {
      this.#refuse(pending, error);
    }
    if (state.replies === 'skip next') state.replies = 'skip';
  }

  #refuse(pending: PendingReply, error: unknown): void {
    if (error instanceof RespError) return pending.finish(errorText(error.message), 400);
    if (error instanceof Refusal) return pending.finish(failureText(error.failure.code, error.failure.message), 400);
    const id = this.#context.nextRequestId();
    this.#context.log.error({ err: error, requestId: id, operation: pending.operation }, 'A command failed');
    pending.finish(errorText(`ERR internal error, RequestID ${id}`), 500);
  }

  #execute(args: RespCommand, spec: RespCommandSpec | undefined, pending: PendingReply): void {
    const queued = checkCommand(args, spec, this.client);
    if (queued !== undefined) return pending.finish(queued);
    this.client.state.lastCommand = spec!.name;
    this.#run(spec!.plan(args, this.client), pending);
  }

  #run(plan: Plan, pending: PendingReply): void {
    if (plan.kind === 'text') return pending.finish(plan.text);
    checkService(this.client, Disconnects.of(this.#socket));
    if (plan.kind === 'steps') return this.#runSteps(plan, pending);
    if (plan.kind === 'ops') checkSize(plan.ops.length, this.client);
    const command = plan.kind === 'ops' ? opsBatch(plan, this.client.account) : plan.command;
    const access = this.client.access ?? openAccess;
    const { force, admin } = requireScopes(access, command);
    pending.expect(plan);
    pending.leavesWithClient = takesLease(command);
    if (this.#inputEnded && pending.leavesWithClient) return void this.#socket.destroy();
    if (mayWait(command)) this.#block(pending, true);
    const noted = (force || admin) && command.kind === 'batch';
    const asked = noted ? audited(command, access, this.#socket.remoteAddress) : command;
    const cancelable = this.#context.dispatcher.request(asked, pending);
    if (cancelable.waits === true) pending.cancelable = cancelable;
  }

  #runSteps(plan: StepsPlan, pending: PendingReply): void {
    this.#block(pending, plan.waits === true);
    pending.leavesWithClient = plan.waits === true;
    if (this.#inputEnded && pending.leavesWithClient) return void this.#socket.destroy();
    pending.cancelable = plan.start(this.client, (text) => pending.finish(text));
  }

  #block(pending: PendingReply, waits: boolean): void {
    this.#blocking = pending;
    this.#waits = waits;
  }

  /** Answers what is in flight, then this error, then closes. */
  fail(message: string): void {
    if (this.#ends) return;
    this.#ends = true;
    this.#reader.clear();
    this.client.state.queue = undefined;
    this.#context.arriving.release(this);
    // Its reply would have to wait, too.
    if (this.#waits) return void this.#socket.destroy();
    const last = new PendingReply(this, this.client.writer, {
      operation: operationOfCommand(undefined),
      startedAt: this.#context.metrics.now(),
      bytes: 0,
      silent: false,
    });
    this.#pending.push(last);
    last.finish(errorText(message), 400);
  }

  #ended(): void {
    this.#inputEnded = true;
    // Whoever has hung up gets no lock, and waits for nothing.
    for (let at = this.#head; at < this.#pending.length; at += 1)
      if (this.#pending[at]!.leavesWithClient) return void this.#socket.destroy();
    this.#closeIfDone();
  }

  #closed(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#context.arriving.release(this);
    this.output.release();
    for (let at = this.#head; at < this.#pending.length; at += 1) this.#pending[at]!.cancelable?.cancel();
    this.client.closed();
  }
}
