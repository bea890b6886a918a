/**
 * What a cell needs of the system that keeps its log on several machines: a database with a synchronous copy, for one. It
 * keeps for each cell a log of frames, which only its owner can lengthen: each statement that changes something for an
 * owner also checks, in the same transaction, that it still is the owner.
 *
 * No call repeats anything by itself, and no call waits for ever. Who calls decides by the kind of the answer:
 *
 *   done      committed and durable, by an acknowledgement without any warning
 *   refused   a condition did not hold at the moment of the statement, and it changed nothing
 *   nothing   it changed nothing, and the same statement may succeed (a serialization failure, a deadlock)
 *   full      it changed nothing, because there is no room
 *   unknown   no answer, or one that proves nothing; it may also take effect at any later time
 */
import { revision, type Revision } from '../protocol/ids.ts';

export type EngineAnswer<Result = undefined> =
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'refused' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'full' }
  | { readonly kind: 'unknown' };

/** A start of a node, and a new one after each loss. Never used twice. */
export type Session = number;
export type Cell = number;

/** The right to lengthen the log of a cell. Epochs of a cell only grow; the session names the process that took it. */
export interface Owned {
  readonly cell: Cell;
  readonly epoch: number;
  readonly session: Session;
}

/** A place in a log: the frame that ends there. */
export interface LogPlace {
  readonly first: Revision;
  readonly last: Revision;
  /** The checksum of the frame, which the next frame names. */
  readonly chain: number;
}

/** Where each log begins, before its first frame. */
export const logStart: LogPlace = { first: revision(0), last: revision(0), chain: 0 };

export interface LogFrame extends LogPlace {
  readonly epoch: number;
  /** The checksum of the frame before it. */
  readonly previous: number;
  readonly bytes: Buffer;
}

/** What a cell held behind a frame of its log, in parts. */
export interface Snapshot extends LogPlace {
  /** Of the owner that made it: parts of two owners never mix. */
  readonly epoch: number;
  readonly parts: number;
}

export interface CellRow {
  readonly cell: Cell;
  readonly epoch: number;
  /** Undefined: nobody has ever had it. */
  readonly session: Session | undefined;
  /** Everything up to here may be gone from the log. */
  readonly trimmed: Revision;
  /** Undefined: there is none yet. */
  readonly snapshot?: Snapshot | undefined;
}

export interface NodeRow {
  readonly node: string;
  readonly session: Session;
  readonly beat: number;
  /** Others have seen no beat for long, and taken its cells: the session never comes back. */
  readonly dead: boolean;
}

export interface Engine {
  /**
   * Puts a frame behind `previous`. Refused: the caller is not the owner, `previous` is not there, or the slot
   * `frame.first` is taken, maybe by this very frame.
   */
  append(owner: Owned, frame: LogFrame, previous: LogPlace): Promise<EngineAnswer>;
  /** Writes a mark. Done: the caller was the owner, and everything that was visible before is durable. */
  barrier(owner: Owned): Promise<EngineAnswer>;
  /**
   * Makes the session the owner in epoch `seen` + 1. Refused: the epoch is another one, or the session that owns the cell
   * lives: it may have been seen dead, and lives again after a fail-over that has lost that. The same again succeeds again.
   */
  take(cell: Cell, seen: number, session: Session): Promise<EngineAnswer<CellRow>>;
  /**
   * Gives the cell to another session, in the next epoch, if the owner's last frame is there: the next owner goes on right
   * behind it. The same again succeeds again.
   */
  handOver(owner: Owned, end: LogPlace, to: Session): Promise<EngineAnswer>;
  /** Removes frames that end at or before `upTo`, but for the last one. */
  trim(owner: Owned, upTo: Revision): Promise<EngineAnswer>;
  /** Writes a part of a snapshot that ends at `last`; the same again succeeds again. Nobody reads it before `publish`. */
  putPart(owner: Owned, last: Revision, part: number, bytes: Buffer): Promise<EngineAnswer>;
  /**
   * Makes this the cell's snapshot, and removes the parts of all others. Refused: the caller is not the owner, a part is
   * missing, or the cell's snapshot is at least as new. The same again succeeds again.
   */
  publish(owner: Owned, snapshot: Snapshot): Promise<EngineAnswer>;
  readPart(cell: Cell, snapshot: Snapshot, part: number): Promise<EngineAnswer<Buffer | undefined>>;

  /** What can be seen; it proves nothing, and may be undone by a fail-over. */
  look(cell: Cell): Promise<EngineAnswer<CellRow>>;
  frameAt(cell: Cell, first: Revision): Promise<EngineAnswer<LogFrame | undefined>>;
  /** The first frames that end after a revision, in order. */
  read(cell: Cell, after: Revision, framesMax: number): Promise<EngineAnswer<readonly LogFrame[]>>;

  /**
   * Registers a session of a node in the place of `seen`, the one before; undefined: the node is new. Refused if there is
   * another one by now: a statement that comes late must not end a session that began after it was sent.
   */
  join(node: string, session: Session, seen: Session | undefined): Promise<EngineAnswer>;
  /** Counts the session's beat on. Refused: it is dead, or another session has its place. */
  beat(node: string, session: Session): Promise<EngineAnswer>;
  /** Declares a session dead, unless it has beaten since `seen`. */
  fence(node: string, session: Session, seen: number): Promise<EngineAnswer>;
  nodes(): Promise<EngineAnswer<readonly NodeRow[]>>;
}
