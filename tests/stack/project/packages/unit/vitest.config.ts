import { defineConfig } from 'vitest/config'

// Three forked workers a package, one for each test file.
export default defineConfig({
  test: { pool: 'forks', maxWorkers: 3, testTimeout: 0, hookTimeout: 0 },
})
