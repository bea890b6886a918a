/** The package has no types of its own; only what is used is declared. */
declare module 'fs-native-extensions' {
  /** Takes an advisory lock (OFD on Linux) on the whole file, or says that another has it. */
  export function tryLock(fd: number): boolean;
}
