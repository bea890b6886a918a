import { DragonLockError } from './errors.ts';

/** What a call of a script had read changed again and again before it was done; nothing was done. */
export class ConflictError extends DragonLockError {
  /** The keys that changed in the last try. */
  get keys(): readonly string[] {
    return (this.details['Keys'] ?? []) as readonly string[];
  }
}

/** What a script has written to its log. */
abstract class ScriptError extends DragonLockError {
  get log(): readonly string[] {
    return (this.details['Log'] ?? []) as readonly string[];
  }
}

/** A script called `tx.fail`. Nothing was done. */
export class ScriptRefusedError extends ScriptError {
  /** What it has given to `tx.fail`. */
  get reason(): string {
    return String(this.details['Reason']);
  }

  /** As `reason`; undefined without. */
  get refusal(): unknown {
    return this.details['Details'];
  }
}

interface Fault {
  readonly Name: string;
  readonly Message: string;
  readonly Line?: number;
  readonly Column?: number;
}

/** A script does not compile, threw an error, or went beyond a limit. Nothing was done. */
export class ScriptFailedError extends ScriptError {
  /** The error's own name: `TypeError`, `LimitError`, … */
  get errorName(): string {
    return this.#fault.Name;
  }

  /** The error's own message. */
  get errorMessage(): string {
    return this.#fault.Message;
  }

  /** From 1; undefined: it has no place in the source. */
  get line(): number | undefined {
    return this.#fault.Line;
  }

  /** From 1; undefined: it has no place in the source. */
  get column(): number | undefined {
    return this.#fault.Column;
  }

  get #fault(): Fault {
    return this.details['Error'] as Fault;
  }
}

/** A script took more CPU time than its call may. Nothing was done. */
export class ScriptTimeoutError extends ScriptError {}
