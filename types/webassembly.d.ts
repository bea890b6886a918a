/** What the virtual machine of scripts needs of WebAssembly: TypeScript declares it only together with the DOM. */
declare namespace WebAssembly {
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
  interface Global {
    value: unknown;
  }
  interface Module {}
  const Module: new (bytes: Uint8Array) => Module;
}

type BufferSource = ArrayBufferView | ArrayBuffer;
