/** What the table of commands is made of. */
import type { Invocation, Options } from './invocation.ts';

export interface Parsed {
  readonly args: readonly string[];
  readonly options: Options;
  /** The arguments after `--`; they are at the end of `args` too. */
  readonly afterDashes: readonly string[] | undefined;
}

export type Run = (invocation: Invocation, parsed: Parsed) => Promise<void>;

export interface OptionSpec {
  readonly long: string;
  readonly short?: string;
  /** The name of its value; absent: it takes none. */
  readonly value?: string;
  readonly required?: true;
  readonly names?: Names;
  readonly about: string;
}

/** What completion proposes for an argument, or for the value of an option. */
export type Names = 'key' | 'lock' | readonly string[];

export interface ArgumentSpec {
  readonly name: string;
  readonly optional?: true;
  /** Takes all that follow. */
  readonly rest?: true;
  readonly names?: Names;
  readonly about?: string;
}

export interface CommandSpec {
  readonly name: string;
  readonly about: string;
  readonly usage?: string;
  readonly args?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  readonly commands?: readonly CommandSpec[];
  readonly hidden?: true;
  /** Options that are not declared are arguments. */
  readonly passesOptions?: true;
  readonly load?: () => Promise<Run>;
}
