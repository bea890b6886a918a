/** Types of behaviours: `operations.ts` must have one for each declaration in `protocol/operations/`. */
import type { Revision } from '../../../protocol/ids.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import type {
  Batch,
  Command,
  ListCommand,
  OperationOf,
  ReplyFormat,
  ResultName,
  ResultOf,
  Results,
  SectionName,
  Sections,
} from '../../../protocol/operations/operations.ts';
import type { RequestRef } from '../state/outbox.ts';
import type { Turn } from '../state/turn.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';

/** What a reply needs of the operations of a batch: their names. A `Batch` is assignable to it. */
export type Asked = Pick<Batch, 'format'> & {
  readonly [Name in ResultName]?: Sections[Name]['list'] extends true
    ? readonly NameOf<OperationOf<Name>>[]
    : NameOf<OperationOf<Name>>;
};
type NameOf<Operation> = Operation extends string
  ? string
  : Pick<Operation, Extract<keyof Operation, 'key' | 'id' | 'prefix' | 'place'>>;

/** A batch that succeeded, for its reply. `rev` is the revision of its commit, or the one that it read at. */
export interface Answered {
  readonly asked: Asked;
  readonly results: Results;
  readonly rev: Revision;
  readonly now: number;
}

/**
 * Both steps only read. All sections check first, so that an error lists every condition that fails. Then each computes
 * its effects, puts them into the write set, and returns the result of its operation.
 */
export type SectionBehaviour<Name extends SectionName> = {
  check?(evaluation: BatchEvaluation, operation: OperationOf<Name>): void;
  /** Returns its members in the reply to `POST /db/:acc`, as JSON text with a comma after each. */
  readonly members?: (answered: Answered) => string;
} & (Name extends ResultName
  ? { evaluate(evaluation: BatchEvaluation, operation: OperationOf<Name>): ResultOf<Name> }
  : { evaluate?(evaluation: BatchEvaluation, operation: OperationOf<Name>): undefined });

export interface FormatBehaviour {
  /** Returns the reply's members except `Rev`, as JSON text with a comma after each. */
  members(answered: Answered): string;
  /** Whether a call that waits for something has come to nothing. */
  isNothing?(answered: Answered): boolean;
  /** Says why a call that reads one thing found nothing. A batch answers with what it found instead. */
  missing?(answered: Answered): string | undefined;
}

export type CallFormat = Exclude<ReplyFormat, 'batch' | 'ops' | 'script.call' | 'script.read'>;

/** Answers a command at once, or lets it wait. */
export type CommandBehaviour<Kind extends Command['kind']> = (
  turn: Turn,
  ref: RequestRef,
  command: Extract<Command, { kind: Kind }>,
) => void;

export type ListBehaviour<Kind extends ListCommand['kind']> = (
  turn: Turn,
  command: Extract<ListCommand, { kind: Kind }>,
) => Page;
