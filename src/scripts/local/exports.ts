/** The package `dragonlock/script`, name by name. */
export { runScript, type ScriptEnd, type ScriptOptions } from './run-script.ts';
export type { ScriptConflict } from './local-data.ts';
export type { ScriptFault } from '../script-run.ts';
