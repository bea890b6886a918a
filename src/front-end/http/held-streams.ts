/**
 * Event streams that came while the server is starting. A browser's EventSource gives up for good when the first reply
 * has another status than 200, so these requests wait, without a reply, until the server serves:
 *
 *     held ──serving──► asked again: gate, then the route     held ──holdMsMax──► refused as `starting`
 *       └──disconnect──► forgotten
 *
 * An EventSource that is refused in the end is told to connect again (see `Exchange`).
 */
import type { Failure } from '../../protocol/errors.ts';
import { systemAfter } from '../../shared/clock.ts';
import { streamHoldMsMax } from '../../shared/limits.ts';
import { starting } from './auth.ts';
import type { Exchange } from './exchange.ts';
import type { RouteContext } from './route-context.ts';

export interface StreamRequest {
  readonly exchange: Exchange;
  /** Returns why the request is refused; undefined if it is allowed. */
  readonly gate: () => Failure | undefined;
  readonly begin: () => void;
}

export class HeldStreams {
  readonly #context: RouteContext;
  #held = 0;

  constructor(context: RouteContext) {
    this.#context = context;
  }

  /** Begins the stream, now or when the server serves, or refuses it. */
  serve(stream: StreamRequest): void {
    const refused = stream.gate();
    if (refused === undefined) stream.begin();
    else if (refused === starting && this.#held < this.#context.limits.watchers_max) this.#hold(stream);
    else stream.exchange.refuse(refused);
  }

  #hold(stream: StreamRequest): void {
    this.#held += 1;
    const release = (): void => {
      this.#held -= 1;
      cancelWait();
      cancelTimer();
    };
    const cancelWait = this.#context.lifecycle.onceStarted(() => {
      release();
      this.serve(stream);
    });
    const cancelTimer = systemAfter(streamHoldMsMax, () => {
      release();
      stream.exchange.refuse(starting);
    });
    stream.exchange.wait({ cancel: release });
  }
}
