/**
 * Back-pressure for pipelined requests. A client may send any number of requests over one connection before it reads a
 * reply, and Node begins all that one read brings, some two thousand. Each costs memory until its reply has left. So a
 * connection has at most `unansweredMax` requests at work, and begins none while more than `unreadBytesMax` of its
 * replies are unread. Further requests wait in their order, and while one waits nothing more is read from the socket.
 * (So a client that pipelines that much, and then disconnects, is noticed only after some of its requests are answered.)
 */
import { Socket } from 'node:net';

export const unansweredMax = 256;
export const unreadBytesMax = 256 * 1024;

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

  /** Sets how much of its replies is unread. */
  unread(bytes: number): void {
    this.#unreadBytes = bytes;
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
