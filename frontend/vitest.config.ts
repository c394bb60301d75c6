import { playwright } from '@vitest/browser-playwright';
import { build } from 'vite';
import { defineConfig, mergeConfig } from 'vitest/config';
import { strictPage } from './tests/browser/strict-page.ts';
import viteConfig from './vite.config.ts';

/** Debian's Chromium; CHROMIUM names another. */
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

export default mergeConfig(
  viteConfig,
  defineConfig({
    test: {
      coverage: {
        provider: 'v8',
        include: ['src/**'],
        exclude: ['src/**/*.css', 'src/api/types.ts'],
        thresholds: { lines: 90 },
        reporter: ['text', 'html'],
      },
      projects: [
        {
          extends: true,
          test: { name: 'unit', include: ['tests/unit/**/*.test.ts'], environment: 'node' },
        },
        {
          extends: true,
          plugins: [strictPage(build)],
          optimizeDeps: { include: ['axe-core', 'superfine'] },
          test: {
            name: 'browser',
            include: ['tests/browser/**/*.test.ts'],
            browser: {
              enabled: true,
              headless: true,
              screenshotFailures: false,
              provider: playwright({ launchOptions: { executablePath, args: ['--no-sandbox'] } }),
              instances: [{ browser: 'chromium' }],
            },
          },
        },
      ],
    },
  }),
);
