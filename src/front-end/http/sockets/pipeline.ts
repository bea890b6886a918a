/**
 * Back-pressure for pipelined requests. A client may send any number of requests over one connection before it reads a
 * reply, and Node begins all that one read brings, some two thousand. Each costs memory until its reply has left. So a
 * connection has at most `unansweredMax` requests at work, and begins none while more than `unreadBytesMax` of its
 * replies are unread. Further requests stand in their order, and while one does nothing more is read from the socket.
 * Requests that wait for a lock or a change do not count: they are bounded by limits of their own.
 */
import { Socket } from 'node:net';

const unansweredMax = 16;
const unreadBytesMax = 256 * 1024;

const pipelineKey = Symbol('pipeline');
type PipelinedSocket = Socket & { [pipelineKey]?: Pipeline };

export class Pipeline {
  readonly #socket: Socket;
  #unanswered = 0;
  #unreadBytes = 0;
  #waiting: (() => void)[] = [];
  /** Requests wait: nothing is read. */
  #held = false;
  #resumable = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static of(socket: Socket): Pipeline {
    const pipelined = socket as PipelinedSocket;
    return (pipelined[pipelineKey] ??= new Pipeline(socket));
  }

  /** Counts a request that may begin now; it ends with `answered`. @returns false: call `wait` */
  enter(): boolean {
    if (!this.#isFree || this.#waiting.length > 0) return false;
    this.#unanswered += 1;
    return true;
  }

  /** Begins a request when it may. */
  wait(run: () => void): void {
    this.#waiting.push(run);
    this.#hold();
  }

  /** Begins a request, now or when it may. */
  begin(run: () => void): void {
    if (this.enter()) run();
    else this.wait(run);
  }

  /** A request that was begun has its reply. */
  answered(): void {
    if (this.#unanswered > 0) this.#unanswered -= 1;
    if (this.#waiting.length > 0) process.nextTick(() => this.#next());
  }

  /** A reply of this length is unread. */
  unread(bytes: number): void {
    this.#unreadBytes += bytes;
  }

  /** A reply that was unread has left. */
  read(bytes: number): void {
    this.#unreadBytes -= bytes;
    if (this.#waiting.length > 0) process.nextTick(() => this.#next());
  }

  get #isFree(): boolean {
    return this.#unanswered < unansweredMax && this.#unreadBytes <= unreadBytesMax;
  }

  #next(): void {
    let begun = 0;
    while (begun < this.#waiting.length && this.#isFree && !this.#socket.destroyed) {
      // The last one may need more of its body.
      if (begun === this.#waiting.length - 1) this.#release();
      const begin = this.#waiting[begun]!;
      begun += 1;
      this.#unanswered += 1;
      begin();
    }
    this.#waiting.splice(0, begun);
    if (this.#socket.destroyed) this.#waiting = [];
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
    this.#socket.resume();
  }
}
