/** What an operation does, as the tables in `operations.ts` demand it for each declaration in `protocol/operations/`. */
import type { Revision } from '../../../protocol/ids.ts';
import type { Page } from '../../../protocol/page.ts';
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

/** What a reply says of the operations of a batch: their names. A batch is one. */
export type Asked = Pick<Batch, 'format'> & {
  readonly [Name in ResultName]?: Sections[Name]['list'] extends true
    ? readonly NameOf<OperationOf<Name>>[]
    : NameOf<OperationOf<Name>>;
};
type NameOf<Operation> = Operation extends string ? string : Pick<Operation, Extract<keyof Operation, 'key' | 'id'>>;

/** A batch that went through, for its reply. `rev` is its commit, or what it read at. */
export interface Answered {
  readonly asked: Asked;
  readonly results: Results;
  readonly rev: Revision;
  readonly now: number;
}

/**
 * Both steps only read. All sections check first, so that an error lists every condition that fails; then each works
 * out its effects, puts them into the write set, and says what its operation comes to.
 */
export type SectionBehaviour<Name extends SectionName> = {
  check?(evaluation: BatchEvaluation, operation: OperationOf<Name>): void;
  /** Its members in the reply to `POST /db/:acc`, as JSON text with a comma after each. */
  members?(answered: Answered): string;
} & (Name extends ResultName
  ? { evaluate(evaluation: BatchEvaluation, operation: OperationOf<Name>): ResultOf<Name> }
  : { evaluate?(evaluation: BatchEvaluation, operation: OperationOf<Name>): undefined });

export interface FormatBehaviour {
  /** The reply's members but `Rev`, as JSON text with a comma after each. */
  members(answered: Answered): string;
  /** Of a call that reads one thing: why it is not found. A batch answers with what it found. */
  missing?(answered: Answered): string | undefined;
}

export type CallFormat = Exclude<ReplyFormat, 'batch'>;

/** A command that is answered at once, or waits. */
export type CommandBehaviour<Kind extends Command['kind']> = (
  turn: Turn,
  ref: RequestRef,
  command: Extract<Command, { kind: Kind }>,
) => void;

export type ListBehaviour<Kind extends ListCommand['kind']> = (
  turn: Turn,
  command: Extract<ListCommand, { kind: Kind }>,
) => Page;
