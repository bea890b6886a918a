/** What is refused about tasks. */
import { DragonLockError } from './errors.ts';

/** There is a task of that ID already, or was one less than an hour ago. */
export class DuplicateTaskError extends DragonLockError {
  /** Name of the task. */
  get id(): string {
    return String(this.details['ID']);
  }

  /** `done` and `dead`: it has ended, and is remembered. */
  get state(): 'scheduled' | 'paused' | 'done' | 'dead' {
    return this.details['State'] as 'scheduled';
  }
}

/** A task may not send requests to that host: it is not on the internet, and the server's `tasks.allow` does not name it. */
export class TargetForbiddenError extends DragonLockError {
  /** Name of the task. */
  get id(): string {
    return String(this.details['ID']);
  }
}
