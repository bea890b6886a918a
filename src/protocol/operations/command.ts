/** What a command is that is not a batch: declared by noun, in one table with all others (`operations.ts`). */
import type { AccountId } from '../ids.ts';

interface AnyCommand {
  readonly kind: string;
  readonly account: AccountId;
}

export type CommandSpec<Command extends AnyCommand> = {
  readonly scope: (command: Command) => 'read' | 'write' | 'force';
  /** It may wait for a lock, and is not counted as in flight then. */
  readonly waits?: (command: Command) => boolean;
} & (
  | {
      /** Its keys decide on the shard. */
      readonly keys: (command: Command) => readonly string[];
      /** It needs nothing that a transaction can hold: it lives in memory, apart from all else. */
      readonly apart?: true;
    }
  /** A page of all keys below a prefix, from all shards as of one moment: `list` is the member that has the rows. */
  | { readonly prefix: (command: Command) => string; readonly list: string }
);

/** Which page of a list. `prefix` may be empty; `after` is exclusive; both are keys, not revisions. */
export interface PageRequest {
  readonly account: AccountId;
  readonly prefix: string;
  readonly after?: string;
  readonly limit: number;
}
