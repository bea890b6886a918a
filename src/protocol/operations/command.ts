/** Declarations of commands other than batches. Each noun's file declares its own; `operations.ts` has the table. */
import type { AccountId } from '../ids.ts';

interface AnyCommand {
  readonly kind: string;
  readonly account: AccountId;
}

export type CommandSpec<Command extends AnyCommand> = {
  readonly scope: (command: Command) => 'read' | 'write' | 'force' | 'task' | 'admin';
  /** Returns whether it may wait for a lock; then it does not count as in flight. */
  readonly waits?: (command: Command) => boolean;
} & (
  | {
      /** Its keys decide which shard serves it. */
      readonly keys: (command: Command) => readonly string[];
      /** It needs nothing that a transaction can hold, because it lives in memory only. */
      readonly apart?: true;
    }
  /** Lists the keys below a prefix, from all shards as of one moment; `list` is the reply's member with the rows. */
  | { readonly prefix: (command: Command) => string; readonly list: string }
);

/** Selects a page of a list. `prefix` may be empty; `after` is exclusive; both are keys, not revisions. */
export interface PageRequest {
  readonly account: AccountId;
  readonly prefix: string;
  readonly after?: string;
  readonly limit: number;
}
