import { defineConfig } from "vite";

export default defineConfig({
  root: "smart-forms",
  base: "./",
  // Some of what the renderer brings asks for Node's `process`.
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: { outDir: "../built/smart-forms", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 4096 },
});
