/* Preloaded into a process, hides VNNI, AMX and AVX-512 from all that ask the processor (Linux on x86-64, as
   tests/without_vnni.py says): CPUID faults, and the handler answers without these features. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(k) (1u << (k))

typedef int (*Sigaction)(int, const struct sigaction *, struct sigaction *);

static const uint32_t AVX512_B = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31);
static const uint32_t AVX512_C = BIT(1) | BIT(6) | BIT(12) | BIT(14), VNNI_C = BIT(11);
static const uint32_t AVX512_D = BIT(2) | BIT(3) | BIT(8) | BIT(23), AMX_D = BIT(22) | BIT(24) | BIT(25);
static const uint32_t AVX_VNNI_A = BIT(4), AVX512_BF16_A = BIT(5), AVX_VNNI_INT8_D = BIT(4) | BIT(5) | BIT(10);

static int faults(int on) { return (int)syscall(SYS_arch_prctl, ARCH_SET_CPUID, !on); }

static void answer(int signal_number, siginfo_t *info, void *at) {
  greg_t *r = ((ucontext_t *)at)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)r[REG_RIP];
  uint32_t leaf = (uint32_t)r[REG_RAX], sub = (uint32_t)r[REG_RCX], a, b, c, d;
  if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) { /* a fault of the program's own */
    signal(signal_number, SIG_DFL);
    return;
  }
  faults(0);
  __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(sub));
  faults(1);
  if (leaf == 7 && sub == 0) b &= ~AVX512_B, c &= ~(AVX512_C | VNNI_C), d &= ~(AVX512_D | AMX_D);
  if (leaf == 7 && sub == 1) a &= ~(AVX_VNNI_A | AVX512_BF16_A), d &= ~AVX_VNNI_INT8_D;
  r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d, r[REG_RIP] += 2;
}

/* Nobody else takes the signal: Python's faulthandler would. */
int sigaction(int number, const struct sigaction *wanted, struct sigaction *before) {
  Sigaction real = (Sigaction)dlsym(RTLD_NEXT, "sigaction");
  return real(number, number == SIGSEGV ? NULL : wanted, before);
}

__attribute__((constructor)) static void start(void) {
  struct sigaction taken = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
  Sigaction real = (Sigaction)dlsym(RTLD_NEXT, "sigaction");
  if (real(SIGSEGV, &taken, NULL) || faults(1)) _exit(77);
}
