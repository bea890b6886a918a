/** What administrators do to queues. */
import type { QueuePolicy } from './queue-policy.ts';
import { singleSection } from './section.ts';

/** What only an administrator of a queue may do. No member of a batch: a REST call makes it. */
export type QueueChange = { readonly key: string } & (
  | { readonly change: 'policy'; readonly policy: QueuePolicy }
  | { readonly change: 'delete' | 'pause' | 'resume' | 'purge' }
  | RedriveChange
);

export interface RedriveChange {
  readonly change: 'redrive';
  readonly how: 'retry' | 'skip';
  readonly id?: string;
  readonly group?: string;
  readonly limit: number;
}

export interface QueueChangeResult {
  readonly purged?: number;
  readonly redriven?: number;
  readonly skipped?: number;
  readonly policy?: QueuePolicy;
}

export const queueChangeSection = singleSection<QueueChange, QueueChangeResult>({
  // Names what fails of a change.
  body: 'queue',
  schema: {},
  key: ({ key }) => key,
  effect: (operation) =>
    ['delete', 'purge', 'resume'].includes(operation.change) || isSkip(operation) ? 'free' : 'write',
  scope: () => 'admin',
  read: () => undefined,
});

function isSkip(operation: QueueChange): boolean {
  return operation.change === 'redrive' && operation.how === 'skip';
}
