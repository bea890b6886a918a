/**
 * Sequences: numbers that are given out once, singly or in blocks. They have REST calls and no member in the body of
 * `POST /db/:acc`: a batch that needs a number without gaps adds to a counter, which a failed batch leaves as it was.
 */
import { call, integerParameter } from './call.ts';
import { singleSection } from './section.ts';

export interface SequenceOperation {
  readonly key: string;
  readonly op: 'next' | 'get' | 'reset';
  /** The count of numbers that `next` reserves, ≥ 1. */
  readonly n: number;
}

export interface SequenceResult {
  /** Absent: no number was taken yet. */
  readonly from?: number;
  readonly to?: number;
}

export const sequenceSection = singleSection<SequenceOperation, SequenceResult>({
  // Names the parameter that fails when numbers run out.
  body: 'n',
  schema: {},
  key: ({ key }) => key,
  effect: ({ op }) => (op === 'get' ? 'read' : op === 'reset' ? 'free' : 'write'),
  scope: ({ op }) => (op === 'get' ? 'read' : 'write'),
  read: () => undefined,
});

export const sequenceCalls = {
  'sequence.get': call({
    method: 'GET',
    path: 'sequence/*',
    summary: 'Read the last number that was given out',
    query: {},
    command: ({ account, id }) =>
      ({ kind: 'batch', account, format: 'sequence.get', sequence: { key: id, op: 'get', n: 1 } }) as const,
  }),
  'sequence.next': call({
    method: 'POST',
    path: 'sequence/*',
    summary: 'Take the next number, or a block of n',
    query: { n: integerParameter(1) },
    command: ({ account, id, query: { n = 1 } }) =>
      ({ kind: 'batch', account, format: 'sequence.next', sequence: { key: id, op: 'next', n } }) as const,
  }),
  'sequence.reset': call({
    method: 'DELETE',
    path: 'sequence/*',
    summary: 'Delete a sequence: it begins with 1 again',
    query: {},
    command: ({ account, id }) =>
      ({ kind: 'batch', account, format: 'sequence.reset', sequence: { key: id, op: 'reset', n: 1 } }) as const,
  }),
} as const;
