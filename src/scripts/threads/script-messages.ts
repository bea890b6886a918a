/**
 * Who tells whom what about scripts.
 *
 *   front end ──start──► owner of the threads ──client, port──► each script thread
 *       ▲                        │
 *       └──── thread, port ◄─────┘          then, over that port, without the owner:
 *
 *   front end ──run, check──► script thread ──answer──► front end
 */
import type { MessagePort } from 'node:worker_threads';
import type { RunHere } from '../machine/script-machine.ts';
import type { ScriptFault, ScriptOutcome } from '../script-run.ts';

/** From a front end to the owner of the threads: it has something to run. */
export interface StartScripts {
  readonly kind: 'start';
}

/** From the owner to a front end: a thread is there, in place of one that is gone. */
export interface ScriptThreadLink {
  readonly kind: 'thread';
  readonly port: MessagePort;
  readonly cells: SharedArrayBuffer;
}

/** From the owner to a script thread. */
export interface ScriptClientLink {
  readonly kind: 'client';
  /** From 1. */
  readonly client: number;
  readonly port: MessagePort;
}

/** What a script thread is given when it starts. */
export interface ScriptThreadTask {
  readonly port: MessagePort;
  readonly cells: SharedArrayBuffer;
}

export type ToScriptThread =
  /** Runs one behind the other; the id of the first, each further one is one more. */
  | { readonly kind: 'run'; readonly id: number; readonly runs: readonly RunHere[] }
  | { readonly kind: 'check'; readonly id: number; readonly source: string };

export type FromScriptThread =
  /**
   * Outcomes of those runs that it has begun.
   *
   * @param unknown a script that the thread does not know: the next run has to come with its source
   */
  | {
      readonly kind: 'ran';
      readonly id: number;
      readonly outcomes: readonly ScriptOutcome[];
      readonly unknown: string | undefined;
    }
  | { readonly kind: 'checked'; readonly id: number; readonly fault: ScriptFault | undefined; readonly cpuMs: number };
