/**
 * The loops that run once a line or once a pair: AssemblyScript (`assembly/`), one WebAssembly module.
 */

export {
  KERNEL_BYTES,
  type KernelExports,
  startKernel,
  unsigned,
  unsigned128,
} from './kernel-module.ts'
