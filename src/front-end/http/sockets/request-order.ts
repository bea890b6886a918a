/**
 * The requests of one connection: in which order they begin, and how many may be at work.
 *
 * They begin in the order in which they were sent. A request begins when its message is handed to the router, which keeps
 * the order from there on. Node does not keep it up to there: it parses as many heads as one read brings, and a body
 * ends some ticks after its last byte. So a request without a body would begin before one with a body that was sent
 * first.
 *
 *   idle ──enter──► taken: checked, its body read ──leave──► begun: the next of those that wait is taken, or idle
 *
 * While one is taken, those that follow wait here, unread and unchecked. They never wait for a client: by HTTP's framing
 * they came after the last byte of every earlier body. Nor do they wait for the reply to a request that has begun, with
 * two exceptions:
 *
 *   - Watches of a prefix read the journal, not the shards, and so cannot be ordered by the router: they begin when the
 *     earlier requests are answered (`afterReplies`), but for those that wait for a lock or a change.
 *   - A client may send any number of requests before it reads a reply, and Node begins all that one read brings, some two
 *     thousand. Each costs memory until its reply has left. So a connection has at most `unansweredMax` requests at work,
 *     and begins none while more than `unreadBytesMax` of its replies are unread. Requests that wait for a lock or a
 *     change do not count: they are bounded by limits of their own.
 *
 * While more than a few wait, nothing more is read from the socket. When the connection has closed, none of those that
 * wait begins: what has begun is a prefix of what was sent.
 */
import { Socket } from 'node:net';
import { Disconnects } from './disconnects.ts';

const unansweredMax = 32;
const unreadBytesMax = 256 * 1024;
/** Once so many wait, the socket is not read until all of them have begun. */
const waitingMax = 16;

/** A request that waits for its turn. */
export interface WaitingRequest {
  /** It is its turn: takes it, as if it came now. */
  take(): void;
  /** The connection has closed before its turn came. */
  drop(): void;
}

const orderKey = Symbol('order');
type OrderedSocket = Socket & { [orderKey]?: RequestOrder };

export class RequestOrder {
  readonly #socket: Socket;
  /** Reasons why the next request may not be taken yet. */
  #taken = 0;
  /** Requests at work whose replies are not written. */
  #unanswered = 0;
  #unreadBytes = 0;
  #waiting: WaitingRequest[] = [];
  #advancing = false;
  /** Nothing is read. */
  #held = false;
  #resumable = false;
  #onceIdle: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static of(socket: Socket): RequestOrder {
    const ordered = socket as OrderedSocket;
    return (ordered[orderKey] ??= new RequestOrder(socket));
  }

  /** A request that comes now is taken at once. */
  get idle(): boolean {
    return this.#taken === 0 && !this.#advancing && this.#waiting.length === 0 && this.#isFree;
  }

  /** Waits for the earlier requests to begin. */
  wait(request: WaitingRequest): void {
    this.#waiting.push(request);
    if (this.#waiting.length >= waitingMax || !this.#isFree) this.#hold();
  }

  /**
   * Runs `resume` once a request that comes then would be taken at once. For a reader that keeps the bytes of later
   * requests until then, instead of the requests; there is one at most.
   */
  onceIdle(resume: () => void): void {
    this.#onceIdle = resume;
  }

  /** Runs, when it is its turn, what answers a request without anything else. */
  run(answer: () => void): void {
    const take = (): void => {
      this.enter();
      answer();
      this.leave();
    };
    if (this.idle) take();
    else this.wait({ take, drop: () => {} });
  }

  /** A request is taken. Call `leave` when it has begun, or was refused, and `answered` when it has its reply. */
  enter(): void {
    this.#taken += 1;
    this.#unanswered += 1;
  }

  leave(): void {
    this.#taken -= 1;
    this.#goOn();
  }

  /** A request at work has its reply, or turns out to wait for a lock or a change. */
  answered(): void {
    // One that was dropped never was at work.
    if (this.#unanswered > 0) this.#unanswered -= 1;
    this.#goOnSoon();
  }

  /** A reply of this length is unread. */
  unread(bytes: number): void {
    this.#unreadBytes += bytes;
  }

  /** A reply that was unread has left. */
  read(bytes: number): void {
    this.#unreadBytes -= bytes;
    this.#goOnSoon();
  }

  /**
   * Runs `begin` once every earlier request of the connection is answered, but for those that wait. Until then no later
   * one begins.
   */
  afterReplies(begin: () => void): void {
    const earlier = Disconnects.of(this.#socket);
    if (!earlier.awaitsReply) return begin();
    this.#taken += 1;
    earlier.onLeave = () => {
      if (earlier.awaitsReply) return;
      earlier.onLeave = undefined;
      // Not within the router's call that has brought the reply.
      process.nextTick(() => {
        begin();
        this.leave();
      });
    };
  }

  /** No later request begins until `leave` is called: one that has begun comes to its keys only in its end. */
  hold(): void {
    this.#taken += 1;
  }

  get #isFree(): boolean {
    return this.#unanswered < unansweredMax && this.#unreadBytes <= unreadBytesMax;
  }

  #goOn(): void {
    if (this.#waiting.length > 0) return this.#advance();
    const resume = this.#onceIdle;
    if (resume === undefined || !this.idle) return;
    this.#onceIdle = undefined;
    resume();
  }

  #goOnSoon(): void {
    if (this.#waiting.length > 0 || this.#onceIdle !== undefined) process.nextTick(() => this.#goOn());
  }

  /** Takes what waits, until one of them waits for its body, or for replies. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    let next = 0;
    while (next < this.#waiting.length && (this.#socket.destroyed || (this.#taken === 0 && this.#isFree))) {
      // The last one may need more of its body.
      if (next === this.#waiting.length - 1) this.#release();
      const request = this.#waiting[next]!;
      next += 1;
      if (this.#socket.destroyed) request.drop();
      else request.take();
    }
    this.#waiting.splice(0, next);
    this.#advancing = false;
  }

  #hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.#socket.pause();
    if (this.#resumable || !(this.#socket instanceof Socket)) return;
    // Node resumes the socket itself, when a reply has left or when somebody reads a body.
    this.#resumable = true;
    const resume = this.#socket.resume.bind(this.#socket);
    this.#socket.resume = () => (this.#held ? this.#socket : resume());
  }

  #release(): void {
    if (!this.#held) return;
    this.#held = false;
    readAgain(this.#socket, () => this.#held);
  }
}

/** Sockets of this thread that are to be read again. */
const unread: { readonly socket: Socket; readonly held: () => boolean }[] = [];

/**
 * Reads a socket again, one in each turn of the event loop. What one read brings may take the parser 15 ms; if all those
 * of a client that has filled many connections were read in the same turn, everybody else would wait for all of them.
 */
function readAgain(socket: Socket, held: () => boolean): void {
  unread.push({ socket, held });
  if (unread.length === 1) setImmediate(readNext);
}

function readNext(): void {
  const next = unread.shift();
  // It may have to wait again already.
  if (next !== undefined && !next.held()) next.socket.resume();
  if (unread.length > 0) setImmediate(readNext);
}
