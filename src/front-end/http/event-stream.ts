/**
 * One reader of server-sent events. A commit is one block: its revision as `id:`, each of its events as one `data:`
 * line, so that a reader resumes after a whole commit or before it, never within. A block with only an `id:` moves the
 * point to resume from without an event.
 *
 *     opened ──first block, or openAfterMs──► streaming ──end, overflow, disconnect──► ended
 *        └──end(reply)──► answered with that reply as plain JSON (410 compacted)
 *
 * A reader that does not keep up is disconnected and skips nothing: it comes back with `Last-Event-ID`. What readers
 * have not been sent is counted with all replies that nobody reads (unread-replies.ts), each block once.
 */
import type { Revision } from '../../protocol/ids.ts';
import type { Reply } from '../../protocol/replies.ts';
import type { Cancelable, StreamSink } from '../../router/dispatcher.ts';
import type { Limits } from '../../shared/limits.ts';
import type { HttpExchange } from './http-exchange.ts';
import type { UnreadOwner, UnreadReplies } from './sockets/unread-replies.ts';

/** How long the head of the reply waits for a refusal; browsers report a stream as open only after the head. */
const openAfterMs = 250;

/** A reader of history is given more while it has less than this unsent. */
const historyUnsentBytesMax = 64 * 1024;
/** What a block in the queue of a socket costs besides its bytes. */
const blockEntryBytes = 512;

export interface StreamContext {
  readonly boot: string;
  readonly limits: Limits;
  readonly unread: UnreadReplies;
}

export class EventStream implements StreamSink {
  readonly #exchange: HttpExchange;
  readonly #context: StreamContext;
  readonly #onEnd: (stream: EventStream) => void;
  readonly #openTimer: NodeJS.Timeout;
  #state: 'opened' | 'streaming' | 'ended' = 'opened';
  #bookmark: Revision | undefined;
  /** The last blocks, as far as they may be unsent. */
  #unsent: Block[] = [];
  /** Data is unsent, and the connection is closed when none of it moves. */
  #stalling = false;

  constructor(exchange: HttpExchange, context: StreamContext, onEnd: (stream: EventStream) => void) {
    this.#exchange = exchange;
    this.#context = context;
    this.#onEnd = onEnd;
    this.#openTimer = setTimeout(() => this.#start(), openAfterMs).unref();
  }

  /** @returns the handle that the exchange cancels when the connection closes */
  follow(cancelable: Cancelable): Cancelable {
    return {
      cancel: () => {
        this.#close();
        cancelable.cancel();
      },
    };
  }

  commit(rev: Revision, events: readonly string[], pace: 'live' | 'history' = 'live'): boolean {
    if (pace === 'live' && this.#isBehind()) return false;
    this.#bookmark = undefined;
    const block = blockOf(rev, events, this.#context.unread);
    const sent = this.#send(block.bytes);
    if (sent) this.#keep(block);
    return sent;
  }

  ready(resume: () => void): boolean {
    const { res } = this.#exchange;
    if (this.#state !== 'streaming' || res.writableLength <= historyUnsentBytesMax) return true;
    res.once('drain', resume);
    return false;
  }

  bookmark(rev: Revision): boolean {
    // The first bookmark is where the stream begins; later ones can wait for the next heartbeat.
    if (this.#state === 'opened') return this.#send(`id: ${rev}\n\n`);
    this.#bookmark = rev;
    return this.#state === 'streaming';
  }

  end(reply?: Reply): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'opened') {
      this.#close();
      if (reply !== undefined) return this.#exchange.deliver(reply);
      return void this.#exchange.res.destroy();
    }
    if (reply !== undefined) this.#send(`event: failure\ndata: ${reply.body}\n\n`);
    this.#finish();
  }

  /** Every 15 s: shows proxies and readers that the connection lives, and sends the latest bookmark. */
  heartbeat(): void {
    if (this.#state !== 'streaming') return;
    const bookmark = this.#bookmark === undefined ? '' : `id: ${this.#bookmark}\n`;
    this.#bookmark = undefined;
    this.#send(`: heartbeat\n${bookmark}\n`);
  }

  #send(block: string | Uint8Array): boolean {
    if (this.#state === 'ended') return false;
    if (this.#exchange.disconnected) return false;
    this.#start();
    const { res } = this.#exchange;
    if (!res.write(block) && !this.#stalling) {
      this.#stalling = true;
      this.#context.unread.stallEnds(res.req.socket);
      res.once('drain', () => {
        this.#stalling = false;
        this.#forgetSent();
        res.req.socket.setTimeout(0);
      });
    }
    return true;
  }

  /** Holds a block until it is sent. */
  #keep(block: Block): void {
    const { res } = this.#exchange;
    if (res.writableLength === 0 && this.#unsent.length === 0) return;
    this.#unsent.push(block);
    block.hold(this, this.#exchange.account);
    this.#forgetSent();
  }

  #forgetSent(): void {
    let first = this.#unsent.length;
    for (let unsent = this.#exchange.res.writableLength; first > 0 && unsent > 0; first -= 1) {
      unsent -= this.#unsent[first - 1]!.bytes.length;
    }
    for (const block of this.#unsent.splice(0, first)) block.release(this);
  }

  /** Disconnects the reader, to free what it has not been sent. */
  evict(): void {
    this.#exchange.res.destroy();
  }

  /**
   * Ends a stream whose reader has left too much unread. Called before more is written: one commit may be larger than
   * the limit, and a reader that has read everything before it must be able to get it.
   */
  #isBehind(): boolean {
    const { res } = this.#exchange;
    if (this.#state !== 'streaming' || res.writableLength <= this.#context.limits.stream_buffer_bytes_max) return false;
    // The reader will never read what is unsent, so the stream cannot end cleanly.
    this.#close();
    this.#exchange.finish(200);
    res.destroy();
    return true;
  }

  #start(): void {
    if (this.#state !== 'opened') return;
    this.#state = 'streaming';
    clearTimeout(this.#openTimer);
    const { res } = this.#exchange;
    res.writeHead(200, [
      'Dragonlock-Boot',
      this.#context.boot,
      'Content-Type',
      'text/event-stream',
      'Cache-Control',
      'no-cache',
      // Otherwise nginx would buffer events until its buffer is full.
      'X-Accel-Buffering',
      'no',
    ]);
    res.flushHeaders();
  }

  #finish(): void {
    if (this.#state === 'ended') return;
    this.#close();
    this.#exchange.finish(200);
    this.#exchange.res.end();
  }

  #close(): void {
    this.#state = 'ended';
    clearTimeout(this.#openTimer);
    for (const block of this.#unsent.splice(0)) block.release(this);
    this.#onEnd(this);
  }
}

/** A commit for the readers of one prefix: one buffer, however many of them lag. */
class Block implements UnreadOwner {
  readonly bytes: Buffer;
  readonly #unread: UnreadReplies;
  readonly #lagging = new Set<EventStream>();

  constructor(bytes: Buffer, unread: UnreadReplies) {
    this.bytes = bytes;
    this.#unread = unread;
  }

  hold(stream: EventStream, account: string | undefined): void {
    this.#lagging.add(stream);
    this.#unread.hold(this, this.bytes.length + this.#lagging.size * blockEntryBytes, account);
  }

  release(stream: EventStream): void {
    this.#lagging.delete(stream);
    if (this.#lagging.size === 0) this.#unread.release(this);
  }

  evict(): void {
    for (const stream of this.#lagging) stream.evict();
  }
}

/** The blocks of commits, by their events, which readers of one prefix share. */
const blocks = new WeakMap<readonly string[], Block>();

function blockOf(rev: Revision, events: readonly string[], unread: UnreadReplies): Block {
  const known = blocks.get(events);
  if (known !== undefined) return known;
  let text = `id: ${rev}\n`;
  for (const event of events) text += `data: ${event}\n`;
  const block = new Block(Buffer.from(`${text}\n`), unread);
  blocks.set(events, block);
  return block;
}
