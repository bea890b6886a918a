/** Tasks that are due, as the dispatcher has them in memory. */
import type { AccountId } from '../protocol/ids.ts';
import type { TaskDefinition, TaskState } from '../protocol/operations/task-definition.ts';
import type { DueTask } from '../protocol/operations/task-calls.ts';

/** `commit`: what it does is a commit. `call`: it runs a script before. `send`: it sends a request, and takes time. */
export type Work = 'commit' | 'call' | 'send';
export const works = ['commit', 'call', 'send'] as const satisfies Work[];

export const workOfTarget = { queue: 'commit', script: 'call', http: 'send' } as const;

export interface Due {
  readonly name: string;
  readonly account: AccountId;
  readonly id: string;
  readonly version: number;
  readonly state: string;
  readonly definition: string;
  readonly bytes: number;
  readonly lane: AccountLane;
  readonly work: Work;
  /** Whose limits it must keep; absent: none. */
  readonly flow?: string;
  /** Somebody has asked for the run: a flow that is paused does not hold it. */
  readonly isAsked: boolean;
  /** It stands in its line. */
  waits: boolean;
  /** It was told again meanwhile, in another version. */
  newer?: DueTask;
}

/** What an account has here. */
export interface AccountLane {
  readonly account: AccountId;
  /** In line and running. */
  count: number;
  bytes: number;
  readonly running: Record<Work, number>;
}

export function stateOf({ state }: Pick<Due, 'state'>): TaskState {
  return JSON.parse(state) as TaskState;
}

export function definitionOf({ definition }: Pick<Due, 'definition'>): TaskDefinition {
  return (JSON.parse(definition) as { readonly definition: TaskDefinition }).definition;
}
