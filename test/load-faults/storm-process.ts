/** Some clients of a lock storm, in a process of their own that can be stopped alone. */
import assert from 'node:assert/strict';
import { StormClient, type StormOptions, type Whereabouts } from './storm-client.ts';
import type { Call } from './storm-ledger.ts';

export type ToStormProcess =
  | {
      readonly kind: 'start';
      readonly options: StormOptions;
      readonly process: number;
      readonly first: number;
      readonly clients: number;
    }
  | { readonly kind: 'server'; readonly where: Whereabouts }
  /** Say when one of them has got a lock. */
  | { readonly kind: 'tell when one holds' }
  | { readonly kind: 'end' };

const calls: Call[] = [];
let where: Whereabouts = { life: 0, port: 0 };
let stopped = false;
let tells = false;
let running: Promise<unknown> = Promise.resolve();

process.on('message', (message: ToStormProcess) => {
  switch (message.kind) {
    case 'start': {
      const surroundings = { process: message.process, calls, stopped: () => stopped, server: () => where, held };
      const indices = Array.from({ length: message.clients }, (_, i) => message.first + i);
      running = Promise.all(indices.map((index) => new StormClient(index, message.options, surroundings).run()));
      return;
    }
    case 'server':
      where = message.where;
      return;
    case 'tell when one holds':
      tells = true;
      return;
    case 'end':
      stopped = true;
      void running.then(() => {
        send(calls, () => process.disconnect?.());
      });
  }
});

function held(): void {
  if (tells) send('holds');
  tells = false;
}

function send(message: Call[] | 'holds', then: () => void = () => {}): void {
  assert(process.send !== undefined, 'it is a child with a channel');
  process.send(message, undefined, undefined, then);
}
