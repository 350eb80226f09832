#pragma once

// One spelling for both Catch2 major versions: Debian 12 ships 2.13, Debian 13 ships 3.
#ifdef TAYGA_CATCH2_V3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
